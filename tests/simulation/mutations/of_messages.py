"""Mutations of messages between actors: what is finished when, and what makes a repeat harmless."""

from tests.simulation.mutations.patching import Mutation, mutation

_DELIVERY = "runtime.processing.delivery"
_POSTING = "runtime.processing.posting"
_MAILING = "runtime.processing.mailing"
_LETTERS = "runtime.processing.letters"

_HEARING = "runtime.processing.hearing"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a message is finished unanswered",
        "the checkpoint moves behind what was read, whether or not anybody has it",
        _MAILING,
        "                if not first.finished:\n                    break\n",
        "",
    ),
    mutation(
        "what was returned is sent again",
        "a deliverer that begins does not look what was returned before it",
        _DELIVERY,
        "if letter is None or (done and return_id(event) in done):",
        "if letter is None:",
    ),
    mutation(
        "a refusal is forgotten",
        "a refused message is finished before the log says so",
        _DELIVERY,
        "            self._to_return.append((message, letter, encoded))\n            return\n",
        "            self._to_return.append((message, letter, encoded))\n"
        "            message.finished = True\n            return\n",
    ),
    mutation(
        "messages without a past",
        "the receiver does not learn what the sender had seen",
        _POSTING,
        "        self._connection.clock.observe_events(decoded.clocks)\n",
        "",
    ),
    mutation(
        "a message is another each time",
        "its command has another id each time it is sent",
        _LETTERS,
        '            derived(event.id_bytes, b"message"),\n',
        "            derived(event.id_bytes, repr(object()).encode()),\n",
    ),
    mutation(
        "messages of no correlation",
        "what a message belongs to does not travel with it",
        _LETTERS,
        "            None if correlation is None else correlation.bytes,\n",
        "            None,\n",
    ),
    mutation(
        "what two hear is heard by one",
        "the command of an event has one id, whoever hears it",
        _HEARING,
        'f"{receiver} {listener.message_type}".encode()',
        'f"{listener.message_type}".encode()',
    ),
    mutation(
        "one of several hears",
        "an event that names several actors comes to the first alone",
        _HEARING,
        "            for name in listener.listening.names(event):\n",
        "            for name in listener.listening.names(event)[:1]:\n",
    ),
    mutation(
        "a dead letter is forgotten",
        "what nobody takes back is finished, and kept nowhere",
        _DELIVERY,
        "for message, reason in dead]\n",
        "for message, reason in dead[:0]]\n",
    ),
    mutation(
        "nobody delivers",
        "a host that comes back does not look whether the log has messages",
        "runtime.process.deliverer_call",
        "        if self.EVENT_TYPE in await store.event_types():\n",
        "        if self.EVENT_TYPE in ():\n",
    ),
)
