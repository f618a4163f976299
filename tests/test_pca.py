"""`verger.pca`: equal to scikit-learn, however the rows are spread."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as Reference  # noqa: N811

from verger import pca
from verger.errors import StatisticsError
from verger.pca import Statistics

quick = settings(max_examples=60, deadline=None)


@dataclass(frozen=True)
class Rows:
    """A matrix (n, d), how its rows are spread, and what it was made of, for a failure's text."""

    matrix: np.ndarray
    parts: list[np.ndarray]
    made_of: dict


def varied(matrix):
    return len(np.unique(matrix, axis=0)) > 1


@st.composite
def rows(draw, least=2):
    """Any shape; columns of unequal scale, dependent, constant or far from zero, as they come."""
    made_of = {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "n": draw(st.integers(least, 60)),
        "d": draw(st.integers(1, 24)),
        "rank": draw(st.integers(1, 24)),
        "constant": draw(st.integers(0, 3)),
        "offset": draw(st.sampled_from([0.0, 1.0, 1e3, 1e6])),
        "spread": draw(st.sampled_from([1.0, 0.5])),
        "dtype": draw(st.sampled_from(["f4", "f8"])),
        "parts": draw(st.integers(1, 7)),
    }
    random = np.random.default_rng(made_of["seed"])
    n, d, rank = made_of["n"], made_of["d"], min(made_of["rank"], made_of["d"])
    basis = random.standard_normal((rank, d)) * made_of["spread"] ** np.arange(rank)[:, None]
    matrix = random.standard_normal((n, rank)) @ basis + made_of["offset"] * random.random(d)
    matrix[:, : min(made_of["constant"], d - 1)] = 0.1 + made_of["offset"]
    matrix = matrix.astype(made_of["dtype"])
    # A mean is kept to 16 digits: what spreads by less than a millionth of it keeps fewer than 9.
    spread = np.sqrt(matrix.astype(float).var(axis=0).sum())
    assume(not varied(matrix) or spread > 1e-6 * np.abs(matrix).max())
    # Uneven parts, some without rows, in another order than the rows.
    order = random.permutation(n)
    cuts = np.sort(random.integers(0, n + 1, made_of["parts"] - 1))
    return Rows(matrix, np.split(matrix[order], cuts), made_of)


def together(parts):
    return pca.merge([Statistics.of(part) for part in parts], parts[0].shape[1])


# Statistics


@quick
@given(rows(least=1))
def test_merged_parts_are_the_whole(given_rows):
    whole, merged = Statistics.of(given_rows.matrix), together(given_rows.parts)
    assert merged.count == whole.count == len(given_rows.matrix)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-9, atol=1e-12)
    size = np.abs(whole.scatter).max()
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=0, atol=1e-9 * size)


@quick
@given(rows(least=1))
def test_statistics_are_what_they_say(given_rows):
    """Against NumPy in extended precision where the machine has it."""
    exact = given_rows.matrix.astype(np.longdouble)
    centred = exact - exact.mean(axis=0)
    scatter = (centred.T @ centred).astype(np.float64)
    found = together(given_rows.parts)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0).astype(float), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.scatter, scatter, rtol=0, atol=1e-9 * np.abs(scatter).max())


@pytest.mark.parametrize("n", [pca.BLOCK - 1, pca.BLOCK, pca.BLOCK + 1, 3 * pca.BLOCK + 7])
def test_more_rows_than_a_block(n):
    matrix = np.random.default_rng(n).standard_normal((n, 3)) + 1e6
    found = Statistics.of(matrix)
    assert found.count == n
    np.testing.assert_allclose(found.scatter / (n - 1), np.cov(matrix.T), rtol=1e-9, atol=1e-9)


def test_the_rows_are_not_changed():
    for dtype in ("f4", "f8"):
        matrix = np.arange(12, dtype=dtype).reshape(4, 3)
        before = matrix.copy()
        pca.fit(Statistics.of(matrix), 1).transform(matrix)
        np.testing.assert_array_equal(matrix, before)


def test_float32_rows_are_summed_up_in_float64():
    matrix = (np.random.default_rng(1).random((500, 4)) + 4096).astype(np.float32)
    found = Statistics.of(matrix)
    np.testing.assert_array_equal(found.scatter, Statistics.of(matrix.astype(float)).scatter)
    assert found.scatter.dtype == found.mean.dtype == np.float64


def test_integers_and_lists_are_rows_too():
    found = Statistics.of([[1, 2], [3, 6]])
    np.testing.assert_array_equal(found.mean, [2, 4])
    np.testing.assert_array_equal(found.scatter, [[2, 4], [4, 8]])


def test_no_rows_add_nothing():
    one = Statistics.of(np.eye(3))
    none = Statistics.of(np.empty((0, 3)))
    assert none.count == 0
    for merged in (pca.merge([none, one], 3), pca.merge([one, none], 3)):
        np.testing.assert_array_equal(merged.scatter, one.scatter)
    assert pca.merge([], 3).mean.shape == (3,)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros(3), r"shape \(3,\), expected \(n, d\) with d > 0"),
        (np.zeros((3, 0)), r"shape \(3, 0\), expected \(n, d\) with d > 0"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array([[1.0, np.nan]]), "not finite: expected numbers"),
        (np.array([[1.0], [-np.inf]]), "not finite: expected numbers"),
        (np.array([["a", "b"]]), "type <U1, expected real numbers"),
        (np.array([[1 + 1j]]), "type complex128, expected real numbers"),
        (np.array([[1e200], [-1e200]]), "too large: float64 cannot square them"),
    ],
)
def test_other_rows_are_refused(wrong, message):
    with pytest.raises(StatisticsError, match=message):
        Statistics.of(wrong)


@pytest.mark.parametrize("other", [1, 2, 4])
def test_statistics_of_other_columns_do_not_add_up(other):
    parts = [Statistics.of(np.eye(3)), Statistics.of(np.ones((2, other)))]
    with pytest.raises(StatisticsError, match=f"over {other} columns, expected 3"):
        pca.merge(parts, 3)


# The fit


def distinct(variances):
    """Which components are determined: away from their neighbours and from rounding."""
    gaps = np.abs(np.diff(variances, prepend=np.inf, append=0.0))
    return np.minimum(gaps[:-1], gaps[1:]) > 1e-4 * variances[0]


@quick
@given(rows())
def test_equal_to_scikit_learn(given_rows):
    matrix = given_rows.matrix.astype(np.float64)
    assume(varied(matrix))
    most = min(matrix.shape)
    expected = Reference(n_components=most, svd_solver="full").fit(matrix)
    found = pca.fit(together(given_rows.parts), most)
    total = expected.explained_variance_.sum()
    # A dependent column has rounding for a variance, which is no one's to agree on.
    np.testing.assert_allclose(
        found.variances, expected.explained_variance_, rtol=1e-6, atol=1e-12 * total
    )
    assert found.total_variance == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(found.explained, expected.explained_variance_ratio_, atol=1e-9)
    np.testing.assert_allclose(found.mean, expected.mean_, rtol=1e-9, atol=1e-12)
    sure = distinct(expected.explained_variance_)
    cosines = np.abs((found.components * expected.components_).sum(axis=1))[sure]
    assert (cosines > 1 - 1e-9).all(), given_rows.made_of


@quick
@given(rows())
def test_components_are_orthonormal_with_fixed_signs(given_rows):
    assume(varied(given_rows.matrix))
    found = pca.fit(Statistics.of(given_rows.matrix), min(given_rows.matrix.shape))
    gram = found.components @ found.components.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-10)
    largest = np.abs(found.components).max(axis=1)
    # Of loadings that tie to nine digits the first is positive.
    tied = np.abs(found.components) >= largest[:, None] * (1 - 1e-9)
    assert all(axis[mask][0] > 0 for axis, mask in zip(found.components, tied, strict=True))
    assert (np.diff(found.variances) <= 0).all()
    assert (found.variances >= 0).all()


@quick
@given(rows())
def test_the_fit_does_not_depend_on_the_parts(given_rows):
    assume(varied(given_rows.matrix))
    most = min(given_rows.matrix.shape)
    whole = pca.fit(Statistics.of(given_rows.matrix), most)
    parted = pca.fit(together(given_rows.parts), most)
    total = whole.total_variance
    np.testing.assert_allclose(parted.variances, whole.variances, rtol=1e-9, atol=1e-9 * total)
    sure = distinct(whole.variances)
    # Signs included: a component must not turn round with the number of tasks.
    np.testing.assert_allclose(parted.components[sure], whole.components[sure], atol=1e-8)


@quick
@given(rows())
def test_transform_is_that_of_scikit_learn(given_rows):
    matrix = given_rows.matrix.astype(np.float64)
    assume(varied(matrix))
    reference = Reference(svd_solver="full").fit(matrix)
    found = pca.fit(Statistics.of(matrix), min(matrix.shape))
    sure = distinct(found.variances)
    signs = np.sign((found.components * reference.components_).sum(axis=1))
    expected = (reference.transform(matrix) * signs)[:, sure]
    size = np.sqrt(found.total_variance)
    np.testing.assert_allclose(found.transform(matrix)[:, sure], expected, atol=1e-5 * size)


def test_components_of_transformed_rows_do_not_correlate():
    matrix = np.random.default_rng(5).standard_normal((200, 6)) @ np.diag([9, 5, 3, 2, 1, 0.5])
    fitted = pca.fit(Statistics.of(matrix + 100), 6)
    projected = fitted.transform(matrix + 100)
    np.testing.assert_allclose(np.cov(projected.T), np.diag(fitted.variances), atol=1e-10)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-10)


# How many are kept


@pytest.fixture(scope="module")
def sloped():
    """Shares of variance that fall slowly, float64 (300, 12)."""
    return np.random.default_rng(7).standard_normal((300, 12)) * 0.8 ** np.arange(12)


@pytest.mark.parametrize("share", [1e-9, 0.1, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999999])
def test_a_share_keeps_as_many_as_scikit_learn(sloped, share):
    found = pca.fit(Statistics.of(sloped), share)
    reference = Reference(n_components=share, svd_solver="full").fit(sloped)
    assert len(found.components) == reference.n_components_
    assert found.explained.sum() > share
    assert found.explained[:-1].sum() <= share


@quick
@given(rows(), st.floats(0.01, 0.99))
def test_any_share_of_any_rows(given_rows, share):
    matrix = given_rows.matrix.astype(np.float64)
    assume(varied(matrix))
    reference = Reference(svd_solver="full").fit(matrix)
    sums = np.cumsum(reference.explained_variance_ratio_)
    assume(np.abs(sums - share).min() > 1e-9)  # else rounding decides
    found = pca.fit(Statistics.of(matrix), share)
    assert len(found.components) == np.searchsorted(sums, share, side="right") + 1


def test_a_share_of_exactly_a_component():
    """A cumulative share that equals what was asked for does not exceed it: one more is kept."""
    matrix = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert len(pca.fit(Statistics.of(matrix), 0.5).components) == 2
    assert Reference(n_components=0.5, svd_solver="full").fit(matrix).n_components_ == 2


@pytest.mark.parametrize(
    ("n", "d", "rank"), [(50, 8, 8), (50, 8, 3), (5, 8, 4), (2, 8, 1), (3000, 2, 1), (20, 1, 1)]
)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_share_one_keeps_all_that_have_variance(n, d, rank, offset):
    random = np.random.default_rng(n * d)
    independent = rank if rank < min(n - 1, d) else d
    # Of halves and small integers, so that an offset does not round the dependence away.
    basis = random.integers(-3, 4, (independent, d)) / 2 + np.eye(independent, d) * 8
    matrix = random.integers(-9, 10, (n, independent)) @ basis + offset
    found = pca.fit(Statistics.of(matrix), 1.0)
    assert len(found.components) == rank
    assert found.explained.sum() == pytest.approx(1, abs=1e-12)


def test_a_count_keeps_so_many(sloped):
    for count in (1, 5, 12):
        found = pca.fit(Statistics.of(sloped), count)
        assert found.components.shape == (count, 12)
        assert found.variances.shape == (count,)
        assert found.transform(sloped).shape == (300, count)
    assert pca.fit(Statistics.of(sloped), 1).explained.sum() < 1


@pytest.mark.parametrize("components", [0, -1, 13, 1280])
def test_more_components_than_columns(sloped, components):
    with pytest.raises(
        StatisticsError,
        match=f"components {components}: expected 1 to 12, the smaller of 300 rows and 12 columns",
    ):
        pca.fit(Statistics.of(sloped), components)


def test_more_components_than_rows():
    with pytest.raises(StatisticsError, match="components 4: expected 1 to 3, the smaller of 3"):
        pca.fit(Statistics.of(np.random.default_rng(0).random((3, 9))), 4)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.0001, 20.0, float("nan"), float("inf")])
def test_shares_that_are_none(sloped, share):
    with pytest.raises(StatisticsError, match=rf"components {share}: expected a share in \(0, 1\]"):
        pca.fit(Statistics.of(sloped), share)


# Rows that have no components


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows(n):
    with pytest.raises(StatisticsError, match=f"need at least 2 rows, found {n}"):
        pca.fit(Statistics.of(np.ones((n, 4))), 1)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 5.7, 1e6 + 0.1, -1e12])
@pytest.mark.parametrize("parts", [1, 3])
def test_equal_rows_have_no_variance_even_by_rounding(value, parts):
    matrix = np.full((5000, 3), value)
    with pytest.raises(StatisticsError, match="all 5000 rows are equal: there is no variance"):
        pca.fit(together(np.array_split(matrix, parts)), 0.95)


def test_a_variance_that_is_tiny_is_still_one():
    matrix = np.array([[1.0, 2.0], [1.0, 2.0 + 1e-9], [1.0, 2.0 - 1e-9]])
    found = pca.fit(Statistics.of(matrix), 1.0)
    np.testing.assert_allclose(found.components, [[0, 1]], atol=1e-12)
    assert found.variances[0] == pytest.approx(1e-18, rel=1e-6)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 13), (1, 5, 12)])
def test_rows_of_another_width_are_not_projected(sloped, shape):
    fitted = pca.fit(Statistics.of(sloped), 2)
    with pytest.raises(StatisticsError, match=r"expected \(n, 12\) as in the fit") as caught:
        fitted.transform(np.zeros(shape))
    assert f"shape {shape}" in str(caught.value)


# Signs


@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_of_loadings_that_tie_the_first_is_positive(slope):
    """Two columns of one variance have loadings of one size, which rounding would tell apart."""
    line = np.linspace(-1, 1, 100)
    matrix = np.stack([line, slope * line], axis=1)
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(matrix)
        found = pca.fit(together(np.array_split(shuffled, 1 + seed % 5)), 1)
        np.testing.assert_allclose(found.components, [[0.5**0.5, slope * 0.5**0.5]], atol=1e-12)


def test_a_mirrored_matrix_has_the_same_components(sloped):
    plain, mirrored = (pca.fit(Statistics.of(sign * sloped), 12) for sign in (1, -1))
    np.testing.assert_allclose(mirrored.components, plain.components, atol=1e-9)
