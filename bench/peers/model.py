# SPDX-License-Identifier: Apache-2.0
"""The model of pipelines/bench-ndt2.cfg in PyTorch: NDT2 as a masked autoencoder (Ye et al. 2023).

Counts of 32 neighbouring units in one bin are a row. Half of a window's rows, drawn anew for every window and step, go
through the encoder; the decoder sees them and one mask vector for each hidden row, and the hidden rows' log rates are
scored by the Poisson likelihood. Blocks normalise after each sublayer, as the pipeline's do (`pre_norm = false`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Shape:
    """What bench-ndt2.cfg says; `bins` is the longest window."""

    width: int = 256
    depth: int = 6
    decoder_depth: int = 2
    heads: int = 4
    feed_forward: float = 1.0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    bins: int = 50
    patches: int = 3
    patch_units: int = 32
    max_count: int = 20
    max_space: int = 64
    hide: float = 0.5


class Block(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        hidden = round(s.feed_forward * s.width)
        self.heads, self.attention_dropout = s.heads, s.attention_dropout
        self.qkv = nn.Linear(s.width, 3 * s.width)
        self.out = nn.Linear(s.width, s.width)
        self.drop = nn.Dropout(s.dropout)
        self.norm1 = nn.LayerNorm(s.width)
        self.mlp = nn.Sequential(
            nn.Linear(s.width, hidden),
            nn.GELU(),
            nn.Dropout(s.dropout),
            nn.Linear(hidden, s.width),
            nn.Dropout(s.dropout),
        )
        self.norm2 = nn.LayerNorm(s.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        windows, rows, width = x.shape
        q, k, v = self.qkv(x).view(windows, rows, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        p = self.attention_dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)
        x = self.norm1(x + self.drop(self.out(y.transpose(1, 2).reshape(windows, rows, width))))
        return self.norm2(x + self.mlp(x))


class Pass(nn.Module):
    """Rows at their places, through blocks. Encoder and decoder have tables of places of their own."""

    def __init__(self, s: Shape, depth: int):
        super().__init__()
        self.patches = s.patches
        self.time = nn.Embedding(s.bins + 2, s.width)
        self.space = nn.Embedding(s.max_space, s.width)
        self.blocks = nn.ModuleList(Block(s) for _ in range(depth))
        nn.init.normal_(self.time.weight, std=0.2)
        nn.init.normal_(self.space.weight, std=0.2)

    def forward(self, x: Tensor, place: Tensor, mask: Tensor | None) -> Tensor:
        """x [windows, rows, width]; place [windows, rows]: number of each row in its window; mask: keys that count."""
        x = x + self.time(place // self.patches) + self.space(place % self.patches)
        for block in self.blocks:
            x = block(x, mask)
        return x


class NDT2(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.shape = s
        self.count = nn.Embedding(s.max_count + 1, s.width // s.patch_units)
        self.mask = nn.Parameter(0.02 * torch.randn(s.width))
        self.drop = nn.Dropout(s.dropout)
        self.encoder = Pass(s, s.depth)
        self.decoder = Pass(s, s.decoder_depth)
        self.log_rate = nn.Linear(s.width, s.patch_units)

    def embed(self, counts: Tensor) -> Tensor:
        return self.drop(self.count(counts.clamp(max=self.shape.max_count)).flatten(2))

    def forward(self, counts: Tensor, length: Tensor | None = None) -> Tensor:
        """The loss of one step.

        counts [windows, rows, patch_units]; length [windows]: rows of each window, the rest is padding; None: all full.
        """
        seen, hidden, keys, queries = self.draw(counts, length)
        encoder_mask = decoder_mask = None
        if length is not None:
            encoder_mask = keys[:, None, None, :]
            decoder_mask = torch.cat((keys, queries), 1)[:, None, None, :]
        x = self.encoder(self.embed(take(counts, seen)), seen, encoder_mask)
        questions = self.mask.to(x.dtype).expand(*hidden.shape, -1)
        x = self.decoder(torch.cat((self.drop(x), questions), 1), torch.cat((seen, hidden), 1), decoder_mask)
        log_rate, target = self.log_rate(x[:, seen.shape[1] :]), take(counts, hidden)
        if length is None:
            return F.poisson_nll_loss(log_rate.float(), target.float())
        loss = F.poisson_nll_loss(log_rate.float(), target.float(), reduction="none").mean(2)
        return (loss * queries).sum() / queries.sum()

    def draw(self, counts: Tensor, length: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Numbers of seen and of hidden rows [windows, …] by sorting noise, and which of them are no padding."""
        windows, rows, _ = counts.shape
        hide = int(self.shape.hide * rows)
        noise, place = torch.rand(windows, rows), torch.arange(rows)
        if length is None:
            order = noise.argsort(1)
            return order[:, : rows - hide], order[:, rows - hide :], None, None
        order = noise.masked_fill(place >= length[:, None], 2.0).argsort(1)
        hidden = (self.shape.hide * length).long()
        seen = length - hidden
        after = (seen[:, None] + place[:hide]).clamp(max=rows - 1)
        keys, queries = place[: rows - hide] < seen[:, None], place[:hide] < hidden[:, None]
        return order[:, : rows - hide], order.gather(1, after), keys, queries

    def decode(self, counts: Tensor) -> Tensor:
        """Log rates of the last bin from all rows of one window: encoder and read-out, as a decoder at work."""
        place = torch.arange(counts.shape[1]).expand(counts.shape[0], -1)
        return self.log_rate(self.encoder(self.embed(counts), place, None)[:, -self.shape.patches :])


def take(counts: Tensor, rows: Tensor) -> Tensor:
    return counts.gather(1, rows[:, :, None].expand(-1, -1, counts.shape[2]))


def optimizer(model: NDT2) -> torch.optim.AdamW:
    """AdamW as the pipeline has it: products decay, all else does not."""
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    decay = [p for p in model.parameters() if id(p) in matrices]
    rest = [p for p in model.parameters() if id(p) not in matrices]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.999), eps=1e-8, fused=True)
