"""What a display asks of a fitted estimator, whatever its class."""

from sklearn.utils.validation import check_is_fitted


def final_estimator(estimator):
    """Give what was trained inside a fitted search or pipeline.

    Parameters
    ----------
    estimator : object
        Fitted: an estimator, a pipeline that ends in one, or a search for one.

    Returns
    -------
    estimator : object
        The estimator itself.

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
        If it has not.
    """
    if not hasattr(estimator, method):
        raise ValueError(
            f"{display} needs {method}, which this {type(estimator).__name__} does "
            "not have."
        )
