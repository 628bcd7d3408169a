"""Which of many networks no other one beats."""

import numpy as np


def best(costs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Whether no other point costs as little and is worth as much; of equals all are.

    Args:
      costs: [points], the less the better.
      values: [points], the more the better.

    Returns:
      bool [points].
    """
    costs, values = np.asarray(costs), np.asarray(values)
    result, last = np.zeros(len(costs), bool), None
    for place in np.lexsort((-values, costs)).tolist():
        point = costs[place], values[place]
        if last is None or point[1] > last[1] or point == last:
            result[place], last = True, point
    return result
