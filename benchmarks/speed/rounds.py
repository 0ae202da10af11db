"""Rounds of the speed benchmark: each times every contestant that has not failed.

The speed of a machine changes over time by more than the contestants differ, so every
round times each contestant once, and their best rounds are compared.
"""

from benchmarks.speed.contestant import ContestantError


def start_all(starters, say=print):
    """Start the contestants one after the other, and leave out those that fail.

    Parameters
    ----------
    starters : iterable of callables
        Functions without arguments that return a `Contestant`.

    Returns
    -------
    contestants : list of Contestant
    """
    contestants = []
    for start in starters:
        try:
            contestants.append(start())
        except ContestantError as error:
            say(f"Not started, and left out: {error}")
    return contestants


def run_rounds(contestants, action, n_rounds, say=print):
    """Time an action in interleaved rounds.

    Parameters
    ----------
    contestants : list of Contestant
        Those that fail are removed.
    action : str
        Name of the action.
    n_rounds : int
        Number of rounds.

    Returns
    -------
    replies : dict
        For each title, a list with the reply of each round. The list is shorter for a
        contestant that failed.
    """
    replies = {contestant.title: [] for contestant in contestants}
    for _ in range(n_rounds):
        for contestant in list(contestants):
            try:
                replies[contestant.title].append(contestant.run(action))
            except ContestantError as error:
                contestants.remove(contestant)
                say(f"Failed, and left out from now on: {error}")
    return replies
