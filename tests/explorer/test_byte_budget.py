"""What is kept while it fits: against a plain list of what was used last."""

import random

from vizcnn.explorer.byte_budget import ByteBudget


def test_the_values_used_last_are_kept_as_far_as_they_fit():
    draw = random.Random(0)
    kept = ByteBudget[int, str](100)
    order: list[int] = []
    sizes: dict[int, int] = {}
    for _ in range(2000):
        key, size = draw.randrange(20), draw.randrange(60)
        if draw.random() < 0.5:
            gone = kept.put(key, f"{key}:{size}", size)
            order = [one for one in order if one != key] + [key]
            sizes[key] = size
            expected = []
            while sum(sizes[one] for one in order) > 100:
                expected.append(order.pop(0))
            assert gone == expected
        else:
            value = kept.get(key)
            assert value == (f"{key}:{sizes[key]}" if key in order else None)
            if key in order:
                order = [one for one in order if one != key] + [key]
        assert list(kept) == order
        assert kept.used == sum(sizes[one] for one in order)


def test_what_is_larger_than_the_budget_is_not_kept_and_takes_nothing_along():
    kept = ByteBudget[str, int](10)
    kept.put("small", 1, 6)
    assert kept.put("large", 2, 11) == ["large"]
    assert (kept.get("small"), kept.get("large"), kept.used) == (1, None, 6)
    kept.clear()
    assert (list(kept), kept.used) == ([], 0)
