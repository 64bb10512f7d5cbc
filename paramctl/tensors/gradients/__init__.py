"""Forward and backward on a live model -> what each parameter, use and pass got."""
