"""Rounds of the speed benchmark: contestants take turns, those that fail drop out.

The speed of a machine drifts by more than the contestants differ, so every round times
each of them once, and their best rounds are compared.
"""

from benchmarks.speed.contestant import ContestantError


def start_all(starters, say=print):
    """Make the contestants ready one after the other, leaving out those that fail.

    Parameters
    ----------
    starters : iterable of callables
        Each without arguments, returning a `Contestant`.

    Returns
    -------
    contestants : list of Contestant
    """
    contestants = []
    for start in starters:
        try:
            contestants.append(start())
        except ContestantError as error:
            say(f"Left out: {error}")
    return contestants


def run_rounds(contestants, action, n_rounds, say=print):
    """Time an action in interleaved rounds.

    Parameters
    ----------
    contestants : list of Contestant
        Those that fail are removed.
    action : str
    n_rounds : int

    Returns
    -------
    replies : dict
        Title -> list with the reply of each round, which is shorter for a contestant
        that dropped out.
    """
    replies = {contestant.title: [] for contestant in contestants}
    for _ in range(n_rounds):
        for contestant in list(contestants):
            try:
                replies[contestant.title].append(contestant.run(action))
            except ContestantError as error:
                contestants.remove(contestant)
                say(f"Dropped out: {error}")
    return replies
