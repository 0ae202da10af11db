"""Weights of a VAE that ranks as a linear VAE does, from which training starts."""

import math

import torch
from scipy.optimize import minimize_scalar

# Factor of the initial weights of components that the linear VAE does not have.
SHRUNK = 0.01
# Bounds of the scale of the outputs, as a factor of codes of unit size and weights of
# unit norm, and the precision of its logarithm.
MAX_SCALE, PRECISION = 1e4, 0.05


@torch.no_grad()
def start_from_linear(vae, linear, rows):
    r"""Give a VAE with tied weights and without hidden layers those of a linear VAE.

    Up to their scale, its outputs become those of the linear VAE: with the components
    :math:`V`, their shrinkage :math:`S`, and input and output scales :math:`D_{in}` and
    :math:`D_{out}`, codes are :math:`z = S^{1/2} V' D_{in} x` and outputs
    :math:`D_{out} V S^{1/2} z`. The weights are :math:`D_{in} V S^{1/2}`, so that the
    scale of the outputs is :math:`D_{out} D_{in}^{-1}`. It is constant in training.

    Codes have mean zero, and the most variable one has variance 1, as under the prior.
    A common factor of the outputs is that of the greatest likelihood.

    Parameters
    ----------
    vae : VAE
        Changed in place.
    linear : LinearVAE
        With input and output scales; its items are those of the VAE.
    rows : SparseRows of shape (n_rows, n_items)
        Some training rows, for the scale of codes and outputs.
    """
    layer, bias = vae.encoder.layers[0], vae.decoder.output_bias
    n_kept = min(linear.n_components, vae.n_components)
    shrinkage = (1.0 - linear.noise_variance / linear.variances)[:n_kept]
    weight = linear.components[:, :n_kept] * linear.input_scale[:, None]
    weight *= shrinkage.sqrt().to(weight.dtype)
    codes = vae.likelihood.prepare(rows).affine(weight, weight.new_zeros(n_kept))
    size = codes.var(dim=0, correction=0).max().sqrt()
    layer.weight.mul_(SHRUNK)
    layer.weight[:, :n_kept] = weight / torch.where(size > 0, size, 1.0)
    layer.bias.zero_()
    bias.zero_()
    codes = vae.encode(rows)
    scale = linear.output_scale / linear.input_scale
    is_known = linear.input_scale > 0
    # Items without interactions may have some later, which the largest scale learns
    # fastest.
    scale = torch.where(is_known, scale, scale[is_known].max())
    outputs = vae.decoder.output_weight * scale
    norm = outputs.norm(dim=0).mean()
    norm = torch.where(norm > 0, norm, 1.0)
    scale, outputs = scale / norm, outputs / norm

    def loss(log_factor):
        hidden = codes * math.exp(log_factor)
        return vae.likelihood.nll_of_layer(hidden, outputs, bias, rows).mean().item()

    limit = math.log(MAX_SCALE)
    best = minimize_scalar(
        loss, bounds=(-limit, limit), method="bounded", options={"xatol": PRECISION}
    )
    vae.decoder.output_scale = scale * math.exp(best.x)
    center = codes.mean(dim=0)
    layer.bias.sub_(center)
    bias.add_(center @ vae.decoder.output_weight)
