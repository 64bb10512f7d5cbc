"""Write `lightning.ckpt` beside this file: what Lightning saves of a model whose hyperparameters are OmegaConf's.

Run with lightning 2.6 and omegaconf 2.4 installed; the tests read the file without either.
"""

from __future__ import annotations

import os
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CONFIG = {"lr": 0.1, "layers": [1, 2, {"a": None}], "name": "x", "path": "${name}/y", "flag": True, "bytes": b"x"}


class Net(lightning.LightningModule):
    def __init__(self, config, width):
        super().__init__()
        self.save_hyperparameters()
        self.body = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 1)

    def training_step(self, batch, _):
        return self.head(self.body(batch[0])).sum()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.config.lr)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)}


if __name__ == "__main__":
    here = Path(__file__).parent
    os.chdir("/tmp")  # the file holds the path that it was written to
    torch.manual_seed(0)
    saving = ModelCheckpoint(dirpath="lightning", filename="lightning", enable_version_counter=False)
    trainer = lightning.Trainer(max_epochs=1, logger=False, callbacks=[saving], accelerator="cpu")
    data = DataLoader(TensorDataset(torch.randn(16, 2)), batch_size=4)
    trainer.fit(Net(OmegaConf.create(CONFIG), width=3), data)
    Path("lightning/lightning.ckpt").replace(here / "lightning.ckpt")
