"""The linear VAE for top-N recommendation, fitted in closed form."""

from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skvae._base._attribute_types import number
from skvae._base._module import ModuleEstimator, fitting, own_validation
from skvae._base._recommender import (
    DENSE_SCORES,
    MAX_VALIDATION_USERS,
    InnerProductMixin,
    RecommenderMixin,
    hold_out_users,
)
from skvae._nn import LinearVAE, power
from skvae._training import (
    Stream,
    computation,
    device_of,
    draw_seed,
    make_generator,
    map_rows,
    resolve_device,
)
from skvae.datasets import RowBlocks
from skvae.metrics._scorer import parse_metrics, ranking_scores
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray, RandomState
from skvae.utils._validation import check_codes

# Output exponents to choose from. The first one serves the choice of the noise.
OUTPUT_EXPONENTS = (0.15, 0.0, 0.3)
# Bounds of the number of components that is "auto", and items for each of them.
MIN_AUTO, MAX_AUTO, ITEMS_PER_AUTO = 400, 1200, 64
# Directions computed beyond the components, for the accuracy of the last of these.
N_EXTRA = 20
# Products with the gram matrix before the last one, and if the iteration starts from
# the components of other users.
N_PRODUCTS, N_MORE_PRODUCTS = 4, 1
# Places of "mle" and "last" among the candidates for the noise.
MLE, LAST = 0, 2
# Fewest components whose variance is a candidate for that of the noise.
MIN_RANK = 8
# Numbers in the coordinates of a block of rows.
BLOCK_SIZE = 2**25
# Columns that a product takes at once, so that more of them stay in the cache.
N_COLUMNS = 64
# Share of the greatest variance below which a variance is rounding.
SMALLEST_VARIANCE = 1e-6
# Cholesky pivot of unit columns below which they are too close to dependent.
MIN_PIVOT = 1e-2


class LinearVAERecommender(InnerProductMixin, ModuleEstimator):
    r"""Recommend by a linear variational autoencoder, fitted in closed form.

    A VAE whose encoder and decoder are linear and whose likelihood is gaussian has a
    known optimum: probabilistic PCA [1]_ [2]_. So nothing is trained: a fit takes one
    truncated singular value decomposition, which takes seconds where training takes
    minutes. Interactions are scaled by powers of the numbers of interactions of their
    user and item, without which popular items and active users determine the
    components.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Dimension of the latent space, at most. Components with a variance below that
        of the noise are left out, so that a high number costs time and not quality.
        "auto" takes one for every 64 items, at least 400 and at most 1,200.

    user_exponent : float, default=0.3
        Exponent of the number of interactions of a user, by a power of which the
        user's interactions are divided. 0 weighs every interaction alike; 0.5 weighs
        every user alike.

    item_exponent : float, default=0.3
        Exponent of the number of interactions of an item, by a power of which its
        interactions are divided, in the fit and where users are folded in.

    output_exponent : float or "auto", default="auto"
        Exponent of the number of interactions of an item, with a power of which its
        scores are multiplied. A higher one recommends more popular items. "auto"
        takes the best of 0, 0.15 and 0.3 for users who are held out.

    noise_variance : float or {"auto", "last", "mle"}, default="auto"
        Variance of the noise, by which components are shrunk: a component of variance
        v keeps the share ``1 - noise_variance / v`` of its scores. "mle" takes the
        maximum of the likelihood, the mean of the variances beyond the components.
        "last" takes the variance of the last component, which often ranks better and
        makes `n_components` the parameter to tune. "auto" takes the value that ranks
        best for users who are held out, between that of "mle" and the variance of a
        leading component.

    validation_fraction : float, default=0.2
        Share of the users that "auto" holds out, up to 500 users. All users are used
        for the final model. If no user can be held out, as in very small data, "auto"
        is "mle", and an output exponent of 0.15.

    scoring : str, default="ndcg@100"
        Metric by which "auto" chooses, as for :func:`make_ranking_scorer`.

    device : str or torch.device, default="auto"
        Device to compute on. "auto" takes a CUDA device if there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of the start of the decomposition and of the users held out.

    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (`n_components_`, n_items), float32
        Orthonormal components of the scaled interactions, by variance: the columns of
        :math:`V`.

    explained_variance_ : ndarray of shape (`n_components_`,), float64
        Variance along each component, about zero: :math:`\Lambda`.

    noise_variance_ : float
        Variance of the noise, :math:`\sigma^2`.

    output_exponent_ : float
        Exponent of the scores of items.

    n_components_ : int
        Number of components whose variance is above that of the noise.

    best_validation_score_ : float
        Score of the users who were held out. Only if something was "auto", or with a
        validation set.

    item_vectors_ : ndarray of shape (n_items, n_dimensions), float32
        Vectors of the items, whose inner products with `user_vectors` are the scores.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    item_ids_ : ndarray of shape (`n_features_in_`,)
        Ids of the items, if the model was loaded from a file that holds them.

    See Also
    --------
    MultVAERecommender : VAE with a multinomial likelihood, trained in epochs.
    skvae.baselines.EASE : Linear autoencoder with a weight for each pair of items.
    sklearn.decomposition.TruncatedSVD : The decomposition alone, without scales.

    Notes
    -----
    With :math:`n_u` and :math:`n_i` the numbers of interactions of users and items,
    :math:`A = D_u^{-a} X D_i^{-b}` are the scaled interactions. Their model is
    :math:`A_u = W z_u + \epsilon_u` with standard normal codes :math:`z_u` and noise of
    variance :math:`\sigma^2`. With :math:`V` the leading eigenvectors of :math:`A'A /
    n_{users}` and :math:`\Lambda` their eigenvalues, the likelihood is maximal for
    :math:`W = V (\Lambda - \sigma^2 I)^{1/2}` [1]_, and the posterior of the codes has
    the mean :math:`\Lambda^{-1} W' A_u`. The best linear encoder gives this mean, so
    the evidence lower bound equals the likelihood [2]_. The scores of a user are

    .. math:: D_i^c \, V (I - \sigma^2 \Lambda^{-1}) V' D_i^{-b} x .

    It is a model of scaled interactions and not of interactions: real numbers, of
    which the zeros are a part like the others. Therefore `score_samples` compares
    models with the same exponents only, and there is no `sample`.

    The decomposition is a subspace iteration of sums over blocks of users. A fit on
    :class:`~skvae.datasets.RowBlocks` computes the same sums, so that it has the same
    result within rounding, if the same users are held out; they are drawn in the same
    way, but from 50,000 users on they are others.

    References
    ----------
    .. [1] M. E. Tipping, C. M. Bishop, "Probabilistic Principal Component Analysis",
       Journal of the Royal Statistical Society B 61(3), 1999,
       https://doi.org/10.1111/1467-9868.00196
    .. [2] J. Lucas, G. Tucker, R. Grosse, M. Norouzi, "Don't Blame the ELBO! A Linear
       VAE Perspective on Posterior Collapse", NeurIPS 2019,
       https://arxiv.org/abs/1911.02469

    Examples
    --------
    >>> from skvae import LinearVAERecommender
    >>> from skvae.datasets import make_checkerboard
    >>> X, held_out = make_checkerboard(60, 40)
    >>> vae = LinearVAERecommender(random_state=0).fit(X)
    >>> bool((vae.predict(X) == held_out).mean() > 0.9)
    True
    """

    _parameter_constraints: dict = {
        **ModuleEstimator._parameter_constraints,
        "n_components": [
            *ModuleEstimator._parameter_constraints["n_components"],
            StrOptions({"auto"}),
        ],
        "user_exponent": [Interval(Real, 0, 1, closed="both")],
        "item_exponent": [Interval(Real, 0, 1, closed="both")],
        "output_exponent": [Interval(Real, -1, 1, closed="both"), StrOptions({"auto"})],
        "noise_variance": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto", "last", "mle"}),
        ],
        "scoring": [str],
    }

    _blocks_to_fit = RowBlocks

    _saved_attributes = {
        **ModuleEstimator._saved_attributes,
        "output_exponent_": number(),
        "best_validation_score_": number(group="validation"),
    }

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        user_exponent: float = 0.3,
        item_exponent: float = 0.3,
        output_exponent: float | str = "auto",
        noise_variance: float | str = "auto",
        validation_fraction: float = 0.2,
        scoring: str = "ndcg@100",
        device: str | torch.device = "auto",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.output_exponent = output_exponent
        self.noise_variance = noise_variance
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: Any = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
    ) -> "LinearVAERecommender":
        """Fit the model to the interactions of users.

        Parameters
        ----------
        X : {array-like, sparse matrix, RowBlocks} of shape (n_users, n_items)
            Interactions: positive where the user interacted with the item, either 1
            or a count, which weighs it. Of :class:`~skvae.datasets.RowBlocks`, one
            block at a time is in memory.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Interactions to fold in for validation, by which "auto" chooses.
        y_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Held-out interactions of the same users, the truth.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is negative, not finite, without any interaction or a table with one
            row per interaction, if its values are too large to be squared in float32,
            or if `noise_variance` is above the variance of every component.
        """
        parse_metrics(self.scoring)
        with fitting(self):
            X = self._check_rows(X, reset=True)
            self._check_settings()
            validation = own_validation(self, X_val, y_val)
            seed = draw_seed(self.random_state)
            X_train = X
            if validation is None and self._chooses:
                split = hold_out_users(
                    X, self.validation_fraction, seed, max_users=MAX_VALIDATION_USERS
                )
                if split is not None:
                    X_train, *validation = split
            self._fit(X, X_train, validation, seed)
        return self

    @computation()
    def transform(self, X: MatrixLike) -> NDArray[np.float32]:
        """Encode users: the posterior mean of the codes of their interactions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users, who need not have been in the training data.

        Returns
        -------
        Z : ndarray of shape (n_users, `n_components_`), float32
            Codes.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        return self._gather_rows(X, self._module.encode, self._module.n_components)

    @computation(DENSE_SCORES)
    def inverse_transform(self, Z: ArrayLike) -> NDArray[np.float32]:
        """Score all items for given codes.

        Parameters
        ----------
        Z : array-like of shape (n_users, `n_components_`)
            Codes, as `transform` returns them.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            As `decision_function` returns them for users with these codes.
        """
        check_is_fitted(self)
        Z = check_codes(Z, self._module.n_components)
        return self._gather_rows(Z, self._module.decode)

    @computation()
    def score_samples(self, X: MatrixLike) -> NDArray[np.float64]:
        """Compute the log-density of the scaled interactions of each user, exactly.

        The evidence lower bound of a linear VAE at its optimum equals it. Compare it
        between models with the same exponents only, as others scale differently.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users.

        Returns
        -------
        log_prob : ndarray of shape (n_users,), float64
            In nats.

        Raises
        ------
        ValueError
            If the noise variance is zero: then there is no density.
        """
        check_is_fitted(self)
        if self.noise_variance_ == 0:
            raise ValueError(
                "There is no density as the noise variance is zero; fit with a "
                "positive noise_variance."
            )
        X = self._check_rows(X, reset=False)
        return self._gather_rows(X, self._module.log_prob, self._module.n_components)

    # Attributes of the module

    @property
    def components_(self):
        """Components of the scaled interactions."""
        return self._module.components.T.cpu().numpy()

    @property
    def explained_variance_(self):
        """Variance along each component."""
        return self._module.variances.cpu().numpy()

    @property
    def noise_variance_(self):
        """Variance of the noise."""
        return self._module.noise_variance.item()

    @property
    def n_components_(self):
        """Number of components."""
        return self._module.n_components

    # Fit

    def _check_settings(self):
        if self.n_components != "auto":
            super()._check_settings()

    @property
    def _chooses(self):
        """Whether a parameter is chosen by the ranking for users who are held out."""
        return "auto" in (self.output_exponent, self.noise_variance)

    def _fit(self, X, X_train, validation, seed):
        """Decompose, choose what is "auto", and use all users for the final model."""
        n_components = self._plain("n_components")
        if n_components == "auto":
            n_components = max(MIN_AUTO, min(X.shape[1] // ITEMS_PER_AUTO, MAX_AUTO))
        n_components = min(n_components, *X_train.shape)
        start = torch.randn(
            X.shape[1],
            min(n_components + N_EXTRA, *X_train.shape),
            dtype=torch.float32,
            generator=make_generator(seed, Stream.INITIAL_WEIGHTS),
        )
        n_steps = N_PRODUCTS + 1
        if validation is not None:
            n_steps += 2 + len(_ranks(n_components)) + len(OUTPUT_EXPONENTS) - 1
        if X_train is not X:
            n_steps += N_MORE_PRODUCTS + 1
        with tqdm(
            total=n_steps, desc=type(self).__name__, disable=not self.verbose
        ) as progress:
            spectrum = self._decompose(X_train, start, N_PRODUCTS, progress)
            place, exponent, score = self._choose(
                spectrum, n_components, validation, progress
            )
            if X_train is not X:
                start = spectrum.components
                spectrum = self._decompose(X, start, N_MORE_PRODUCTS, progress)
            progress.update(n_steps - progress.n)  # not all may have been to choose
        module = self._make_module(spectrum, n_components, place, exponent)
        module.components = module.components.contiguous()
        new = {"_module": module.eval(), "output_exponent_": float(exponent)}
        if score is not None:
            new["best_validation_score_"] = score
        for name in ("best_validation_score_", "item_ids_"):
            vars(self).pop(name, None)
        vars(self).update(new)  # in one step, which no interruption divides

    def _decompose(self, X, start, n_products, progress):
        """Decompose the scaled interactions into a `Spectrum`."""
        n_users = X.shape[0]
        item_counts = item_sums(X)
        scaling = {
            "user_exponent": float(self.user_exponent),
            "column_scale": power(item_counts, -self.item_exponent).numpy(),
            "n_rows": max(1, BLOCK_SIZE // start.shape[1]),
            "device": self.device,
        }
        device = resolve_device(self.device)
        if isinstance(X, RowBlocks):

            def product(Q):
                add = partial(_gram_of_block, Q.cpu().numpy(), scaling)
                return torch.from_numpy(X.map_reduce(add)).to(device)

            squares = X.map_reduce(partial(_squares_of_block, scaling))
        else:
            blocks = list(scaled_blocks(X, **scaling))
            product = partial(gram_product, blocks)
            squares = sum_of_squares(blocks)

        def multiply(Q):
            progress.update()
            return product(Q)

        eigenvalues, components = leading_eigenvectors(
            multiply, start.to(device), n_products
        )
        if not torch.isfinite(eigenvalues).all():
            largest = (
                X.map_reduce(_largest, max) if isinstance(X, RowBlocks) else X.max()
            )
            raise ValueError(
                f"X holds values up to {largest:.3g}, which are too large to be "
                "squared in float32; scale them, for instance to 1."
            )
        return Spectrum(
            variances=eigenvalues.cpu().clamp(min=0) / n_users,
            components=components,
            total_variance=squares / n_users,
            item_counts=item_counts,
        )

    def _choose(self, spectrum, n_components, validation, progress):
        """Choose what is "auto", the noise first: (place, exponent, score).

        The place is that of the noise among the candidates, which serves for the
        spectrum of all users too.
        """
        places, exponents = [MLE], [self.output_exponent]
        if self.noise_variance == "last":
            places = [LAST]
        if self.noise_variance == "auto":
            candidates = noise_candidates(spectrum, n_components)
            places = np.unique(candidates, return_index=True)[1].tolist()
        if self.output_exponent == "auto":
            exponents = OUTPUT_EXPONENTS
        if validation is None:
            return places[0], exponents[0], None

        def score(place, exponent):
            progress.update()
            module = self._make_module(spectrum, n_components, place, exponent)
            candidate = _Candidate(module)._checked_recommender()
            value = ranking_scores(candidate, *validation, self.scoring)
            return value if np.isfinite(value) else -np.inf

        scores = {(place, exponents[0]): score(place, exponents[0]) for place in places}
        place, _ = max(scores, key=scores.get)
        scores |= {(place, other): score(place, other) for other in exponents[1:]}
        best = max(scores, key=scores.get)
        return *best, scores[best]

    def _make_module(self, spectrum, n_components, place, exponent):
        """Make the module with the noise at a place among the candidates.

        Its components are a view of those of the spectrum.
        """
        noise = self.noise_variance
        if isinstance(noise, str):
            noise = noise_candidates(spectrum, n_components)[place]
        variances = spectrum.variances[:n_components]
        floor = max(noise, SMALLEST_VARIANCE * variances[0])
        n_kept = int((variances > floor).sum())
        if n_kept == 0:
            raise ValueError(
                f"noise_variance={noise:.4g} is not below the greatest variance of a "
                f"component, {variances[0]:.4g}, so that nothing would be left; pass "
                'a lower noise_variance, or "auto".'
            )
        components = spectrum.components[:, :n_kept]
        module = self._blank_module({"components": components})
        module.components = components
        module.variances = variances[:n_kept].clone()
        module.noise_variance.fill_(noise)
        counts = spectrum.item_counts
        module.input_scale = power(counts, -self.item_exponent).to(torch.float32)
        module.output_scale = power(counts, exponent).to(torch.float32)
        return module.to(spectrum.components.device)

    def _blank_module(self, weights):
        shape = weights["components"].shape if "components" in weights else ()
        n_components = shape[1] if len(shape) == 2 else 0  # of a file, which is checked
        return LinearVAE(
            self.n_features_in_, n_components, user_exponent=float(self.user_exponent)
        )

    def _iter_scores(self, X):
        return self._map_rows(X, self._module.scores)


class _Candidate(RecommenderMixin):
    """Recommender of a module that is not in an estimator."""

    def __init__(self, module):
        self.module = module

    def _iter_scores(self, X):
        device = device_of(self.module)
        return map_rows(X, self.module.scores, device=device, width=X.shape[1])


# Mathematics


class Spectrum(NamedTuple):
    """Leading components of scaled interactions.

    ``variances`` has shape (n_directions,) in float64, ``components`` the shape
    (n_items, n_directions), both by variance; ``total_variance`` is that in all
    directions. ``item_counts`` has shape (n_items,).
    """

    variances: torch.Tensor
    components: torch.Tensor
    total_variance: float
    item_counts: torch.Tensor


def noise_candidates(spectrum, n_components):
    """Values of the noise variance to choose from, increasing, some perhaps equal.

    Parameters
    ----------
    spectrum : Spectrum
        Of the data.
    n_components : int
        Number of components of the model.

    Returns
    -------
    noise : ndarray of shape (n_candidates,), float64
        First that of the greatest likelihood, the mean of the variances in the
        directions that are left (Tipping & Bishop 1999, eq. 8). Then half the variance
        of the last component if that is more, and the variances of the last one and of
        those at half as many components, a quarter, and so on; none is above half the
        greatest variance. Their number depends on `n_components` alone.
    """
    variances = spectrum.variances[:n_components].numpy()
    n_rest = spectrum.components.shape[0] - n_components
    rest = (spectrum.total_variance - variances.sum()) / max(n_rest, 1)
    last = variances[-1]
    ranks = np.array(_ranks(n_components))
    noise = [min(rest, last), max(rest, last / 2), *variances[ranks - 1]]
    # Without noise there would be no density, and with more no component.
    return np.clip(noise, SMALLEST_VARIANCE * variances[0], variances[0] / 2)


def _ranks(n_components):
    """Numbers of components: all, a half, a quarter, down to at least `MIN_RANK`."""
    ranks = [n_components]
    while ranks[-1] >= 2 * MIN_RANK:
        ranks.append(ranks[-1] // 2)
    return ranks


def sparse_blocks(X, row_scale, column_scale, *, n_rows, device):
    """Cut a scaled matrix into blocks of rows.

    Parameters
    ----------
    X : CSR of shape (n_users, n_items)
        Canonical.
    row_scale, column_scale : ndarray of shape (n_users,) or (n_items,)
        Factors of rows and columns.
    n_rows : int
        Rows of a block.
    device : torch.device
        Where to put the blocks.

    Yields
    ------
    block, transposed : Tensor
        Each block and its transpose, as CSR tensors in float32.
    """
    for start in range(0, X.shape[0], n_rows):
        rows = slice(start, min(start + n_rows, X.shape[0]))
        block = sp.csr_array(X[rows])
        scale = np.repeat(row_scale[rows], np.diff(block.indptr))
        data = block.data * (scale * column_scale[block.indices])
        parts = (data.astype(np.float32), block.indices, block.indptr)
        block = sp.csr_array(parts, shape=block.shape)
        pair = (block, block.T.tocsr())
        yield tuple(_csr_tensor(one).to(device) for one in pair)


def scaled_blocks(X, *, user_exponent, column_scale, n_rows, device):
    """Cut a matrix into blocks of rows, whose rows are scaled by a power of their sum.

    Parameters
    ----------
    user_exponent : float
        Exponent of the sum of a row, by a power of which it is divided.
    X, column_scale, n_rows, device
        As for `sparse_blocks`; the device may be "auto".
    """
    row_scale = power(_sums(X, axis=1), -user_exponent).numpy()
    device = resolve_device(device)
    return sparse_blocks(X, row_scale, column_scale, n_rows=n_rows, device=device)


def gram_product(blocks, Q):
    """Compute ``A' (A Q)``, a sum over blocks of rows of A.

    Parameters
    ----------
    blocks : iterable of (Tensor, Tensor)
        Blocks of A and their transposes.
    Q : Tensor of shape (n_columns, n_directions)
        Factor on the right.

    Returns
    -------
    product : Tensor of shape (n_columns, n_directions)
    """
    parts = [part.contiguous() for part in Q.split(N_COLUMNS, dim=1)]
    sums = [torch.zeros_like(part) for part in parts]
    for block, transposed in blocks:
        for part, total in zip(parts, sums, strict=True):
            torch.addmm(total, transposed, block @ part, out=total)
    return torch.cat(sums, dim=1)


def leading_eigenvectors(multiply, start, n_products):
    """Leading eigenvectors of a symmetric matrix by subspace iteration.

    Parameters
    ----------
    multiply : callable
        Multiplies the matrix with a tensor of shape (n, n_directions).
    start : Tensor of shape (n, n_directions)
        Start of the iteration.
    n_products : int
        Products before the one that gives the eigenvalues (Rayleigh-Ritz).

    Returns
    -------
    eigenvalues : Tensor of shape (n_directions,), float64
        Decreasing.
    eigenvectors : Tensor of shape (n, n_directions)
        Their largest entries are positive.
    """
    Q = start
    for _ in range(n_products):
        Q = orthonormalized(multiply(Q))
    projected = (Q.T @ multiply(Q)).double()
    if not torch.isfinite(projected).all():
        return projected.diagonal(), Q
    eigenvalues, rotation = torch.linalg.eigh((projected + projected.T) / 2)
    vectors = Q @ rotation.flip(1).to(Q.dtype)
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return eigenvalues.flip(0), torch.where(largest < 0, -vectors, vectors)


def orthonormalized(Y):
    """Orthonormal basis of the columns of Y, by Cholesky if that is precise enough."""
    Y = Y / Y.norm(dim=0).clamp(min=torch.finfo(Y.dtype).tiny)
    factor, info = torch.linalg.cholesky_ex((Y.T @ Y).double(), upper=True)
    diagonal = factor.diagonal()
    if info > 0 or not diagonal.min() > MIN_PIVOT:
        return torch.linalg.qr(Y)[0]
    return torch.linalg.solve_triangular(factor.to(Y.dtype), Y, upper=True, left=False)


def _csr_tensor(X):
    # torch aligns its memory. A BLAS may choose its kernel by the alignment.
    parts = (torch.from_numpy(x).clone() for x in (X.indptr, X.indices, X.data))
    return torch.sparse_csr_tensor(*parts, X.shape)


def sum_of_squares(blocks):
    """Sum of the squares of all values in blocks of `scaled_blocks`."""
    return sum(block.values().double().square().sum().item() for block, _ in blocks)


def item_sums(X):
    """Sum of each column of a CSR or of blocks of rows: float64, shape (n_items,)."""
    if isinstance(X, RowBlocks):
        return torch.from_numpy(X.map_reduce(_sums_of_block))
    return _sums(X, axis=0)


# Functions of a block, whose results are added up, perhaps on other machines


def _sums_of_block(number, block):
    return _sums(block, axis=0).numpy()


def _squares_of_block(scaling, number, block):
    return sum_of_squares(scaled_blocks(block, **scaling))


def _gram_of_block(Q, scaling, number, block):
    Q = torch.from_numpy(Q).to(resolve_device(scaling["device"]))
    return gram_product(scaled_blocks(block, **scaling), Q).cpu().numpy()


def _largest(number, block):
    return block.data.max(initial=0)


def _sums(X, axis):
    return torch.from_numpy(np.asarray(X.sum(axis=axis, dtype=np.float64)).ravel())
