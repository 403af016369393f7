"""Distances of sets of features: the formulas of FVD, FID and of the inception score. The networks are the user's.

A number may be called FVD (arXiv 1812.01717) only with the features of the I3D network that it names, CD-FVD (arXiv 2404.12391)
with VideoMAE's, FID with Inception's; each needs hundreds of clips or more.
"""

import numpy as np

Array = np.ndarray


def frechet_distance(features: Array, others: Array) -> float:
    """Fréchet distance of the Gaussians with the mean and covariance of two sets of features `(n, d)` and `(m, d)`.

    |mean - mean'|^2 + trace(C + C' - 2 (C C')^(1/2)). Raises ValueError for fewer than two features in a set.
    """
    for one in (features, others):
        if one.ndim != 2 or len(one) < 2 or one.shape[1] != features.shape[1]:
            raise ValueError(f"features: expected two sets (n, {features.shape[-1]}) with n of 2 or more, got {one.shape}")
    means, covariances = zip(*((one.mean(0), np.cov(one, rowvar=False)) for one in (features, others)), strict=True)
    return gaussian_distance(means[0], np.atleast_2d(covariances[0]), means[1], np.atleast_2d(covariances[1]))


def gaussian_distance(mean: Array, covariance: Array, other_mean: Array, other_covariance: Array) -> float:
    """Fréchet distance of two Gaussians; means `(d,)`, covariances `(d, d)`."""
    root = _root(covariance)
    # the eigenvalues of C C' are those of the symmetric C^(1/2) C' C^(1/2)
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ other_covariance @ root), 0, None)).sum()
    gap = float(((mean - other_mean) ** 2).sum())
    return max(0.0, gap + float(np.trace(covariance) + np.trace(other_covariance) - 2 * shared))


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def inception_score(probabilities: Array) -> float:
    """exp of the mean divergence of class probabilities `(n, classes)` from their mean (arXiv 1606.03498).

    1 where all are alike, the number of classes where they are certain and evenly spread.
    Raises ValueError for rows that are not probabilities.
    """
    if probabilities.ndim != 2 or (probabilities < 0).any() or not np.allclose(probabilities.sum(1), 1, atol=1e-4):
        raise ValueError(f"probabilities: expected rows that sum to 1 (n, classes), got {probabilities.shape}")
    mean = probabilities.mean(0, keepdims=True)
    terms = np.where(probabilities > 0, probabilities * (np.log(probabilities + 1e-30) - np.log(mean + 1e-30)), 0)
    return float(np.exp(terms.sum(1).mean()))
