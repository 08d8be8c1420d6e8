"""Who wants what: one matcher for all subscriptions of one selection, and for each topic
the matchers that want it.

A commit asks for each of its topics, once, however many subscriptions there are. What a
topic's matchers are is found by the literal beginnings of their patterns, and remembered.
"""

import asyncio
from collections import Counter

from store.rows.layout import topic_parts
from store.selection import Selection, encoded_kinds, literal_prefix, pattern


class Matcher:
    """Selects by event type, kind and source without decoding payloads."""

    __slots__ = ("_kinds", "_sources", "_types", "number", "selection", "users", "waiting")

    def __init__(self, selection: Selection, number: int) -> None:
        self.selection = selection
        self.number = number  #: matchers are numbered as they come
        self.users = 0  #: live subscriptions
        #: Polls that nothing is there for, in the order in which they came, and are woken.
        self.waiting: dict[asyncio.Future[int], None] = {}
        self._types = pattern(selection.event_types)
        self._sources = pattern(selection.sources)
        self._kinds = encoded_kinds(selection)

    @property
    def by_topic(self) -> bool:
        """Does it look beyond the type: at sources, or at kinds?"""
        return self._sources is not None or bool(self._kinds)

    @property
    def prefixes(self) -> set[bytes]:
        """What the sources that it wants may begin with."""
        return {literal_prefix(glob) for glob in self.selection.sources or ("*",)}

    def wants_type(self, event_type: bytes) -> bool:
        """Does it want events of that type, if it wants their source?"""
        return self._types is None or self._types.fullmatch(event_type) is not None

    def wants(self, event_type: bytes, kind: bytes, source: bytes) -> bool:
        """Does it want events of that type, kind and source?"""
        if not self.wants_type(event_type) or (self._kinds and kind not in self._kinds):
            return False
        return self._sources is None or self._sources.fullmatch(source) is not None


Matching = tuple[Matcher, ...]


class _Verdicts:
    """Who wants what, as far as it was found out: so many entries, the oldest leave."""

    def __init__(self, capacity: int) -> None:
        self._found: dict[bytes, Matching] = {}
        self._capacity = capacity
        self._entries = 0
        self.get = self._found.get

    def keep(self, key: bytes, found: Matching) -> Matching:
        """Remember, and forget what is too much."""
        self._found[key] = found
        self._entries += 1 + len(found)
        while self._entries > self._capacity and len(self._found) > 1:
            self._entries -= 1 + len(self._found.pop(next(iter(self._found))))
        return found

    def clear(self) -> None:
        """Forget all."""
        self._found.clear()
        self._entries = 0


class Matchers:
    """Those in use. One that nobody uses any more is gone at once."""

    #: Entries of a memory of verdicts: a key is one, and so is each of its matchers.
    MAX_VERDICTS = 200_000

    def __init__(self) -> None:
        self.latest = 0  #: the number of the last that came
        self._matchers: dict[Selection, Matcher] = {}
        self._prefixes: dict[bytes, list[Matcher]] = {}  #: of those that look at topics
        self._lengths: Counter[int] = Counter()  #: of the prefixes
        self._ascending: list[int] = []  #: these lengths, each once
        self._by_topic = _Verdicts(self.MAX_VERDICTS)
        self._by_type = _Verdicts(self.MAX_VERDICTS)

    def __len__(self) -> int:
        return len(self._matchers)

    @property
    def by_topic(self) -> bool:
        """Does any look at topics?"""
        return bool(self._prefixes)

    def use(self, selection: Selection) -> Matcher:
        """The matcher of a selection, for one more subscription."""
        matcher = self._matchers.get(selection)
        if matcher is None:
            self.latest += 1
            matcher = self._matchers[selection] = Matcher(selection, self.latest)
            self._changed(matcher, 1)
        matcher.users += 1
        return matcher

    def give_back(self, matcher: Matcher) -> None:
        """One subscription less uses it."""
        matcher.users -= 1
        if matcher.users == 0:
            del self._matchers[matcher.selection]
            self._changed(matcher, -1)

    def waiting(self) -> list[asyncio.Future[int]]:
        """All polls that nothing is there for."""
        return [waiter for matcher in self._matchers.values() for waiter in matcher.waiting]

    def of_topic(self, topic: bytes) -> Matching:
        """Those that look at topics and want this one."""
        found = self._by_topic.get(topic)
        if found is None:
            found = self._by_topic.keep(topic, self._found(*topic_parts(topic)))
        return found

    def of_type(self, event_type: bytes) -> Matching:
        """Those that look at event types alone and want this one."""
        found = self._by_type.get(event_type)
        if found is None:
            plain = (each for each in self._matchers.values() if not each.by_topic)
            wanting = tuple(each for each in plain if each.wants_type(event_type))
            found = self._by_type.keep(event_type, wanting)
        return found

    def _found(self, event_type: bytes, kind: bytes, source: bytes) -> Matching:
        found: dict[Matcher, None] = {}
        for length in self._ascending:
            if length > len(source):
                break
            for matcher in self._prefixes.get(source[:length], ()):
                if matcher not in found and matcher.wants(event_type, kind, source):
                    found[matcher] = None
        return tuple(found)

    def _changed(self, matcher: Matcher, by: int) -> None:
        """One came or went. What is remembered may be wrong now; finding it anew costs a
        microsecond or two a topic."""
        if matcher.by_topic:
            for prefix in matcher.prefixes:
                users = self._prefixes.setdefault(prefix, [])
                if by > 0:
                    users.append(matcher)
                else:
                    users.remove(matcher)
                    if not users:
                        del self._prefixes[prefix]
                self._lengths[len(prefix)] += by
            self._lengths = +self._lengths
            self._ascending = sorted(self._lengths)
            self._by_topic.clear()
        else:
            self._by_type.clear()
