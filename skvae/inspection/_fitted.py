"""Helpers of the displays to read fitted estimators of any class."""

from sklearn.utils.validation import check_is_fitted


def final_estimator(estimator):
    """Return the fitted estimator inside a search or pipeline.

    Parameters
    ----------
    estimator : object
        A fitted estimator, pipeline or search.

    Returns
    -------
    estimator : object
        The last step of a pipeline, the best estimator of a search, or the estimator
        itself.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    """
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = getattr(estimator, "steps", None)
    return final_estimator(steps[-1][1]) if steps else estimator


def require(estimator, method, display):
    """Raise unless an estimator has a method that a display needs.

    Parameters
    ----------
    estimator : object
        Fitted.
    method : str
        Name of the method.
    display : str
        Name of the display.

    Raises
    ------
    ValueError
        If the estimator does not have the method.
    """
    if not hasattr(estimator, method):
        raise ValueError(
            f"{display} needs a method {method}, which {type(estimator).__name__} does "
            "not have; pass another estimator."
        )
