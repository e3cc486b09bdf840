"""Records in the shapes that people share conversations in -> turns with the roles system, user, assistant.

ShareGPT, OpenAI messages, Alpaca, pairs of prompt and completion, and OpenAssistant trees flow in.
What is no conversation of these roles is refused with a reason, never mended here.
"""

from collections.abc import Iterable, Mapping, Sequence

Message = dict[str, str]
Turns = tuple[list[Message], str]  # the turns, or none and the reason why
Fields = Mapping[object, object]

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model", "bot"), "assistant"),
}
TOOLS = frozenset(
    "tool tools tool_call tool_calls tool_response tool_result tool_results function functions function_call "
    "function_response function_result observation ipython code_interpreter environment".split()
)
CHATS = {
    "conversations": "ShareGPT",
    "items": "ShareGPT",
    "conversation": "ShareGPT",
    "messages": "OpenAI messages",
}
REQUESTS = ("prompt", "question", "query", "input")
REPLIES = ("completion", "response", "answer", "output", "chosen")
SYSTEMS = ("system", "system_prompt")
TREE = "OpenAssistant tree"
COLUMNS = (*CHATS, "instruction", *REQUESTS, *REPLIES, *SYSTEMS, "history", "id", "label")
SHAPES = (
    "a record is {conversations: [{from, value}]} (ShareGPT), {messages: [{role, content}]} (OpenAI), "
    "{instruction, input, output} (Alpaca), {prompt, completion}, or {prompt: {text, role, replies}} (OpenAssistant)"
)


def detect(record: object) -> str | None:
    """The shape of a record in words; None when it has none of the known ones."""
    if not isinstance(record, Mapping):
        return None
    for key, shape in CHATS.items():
        if isinstance(record.get(key), list):
            return shape
    if "instruction" in record and any(key in record for key in REPLIES):
        return "Alpaca"
    if isinstance(record.get("prompt"), Mapping):
        return TREE
    return "prompt and completion" if all(first_of(record, keys) for keys in (REQUESTS, REPLIES)) else None


def first_of(record: Fields, keys: Iterable[str]) -> str | None:
    """The first of the keys that has a value."""
    return next((key for key in keys if record.get(key) is not None), None)


def turns_of(record: object) -> Turns:
    """The turns of a record, or the reason why they cannot be had."""
    shape = detect(record)
    if shape is None or not isinstance(record, Mapping):
        return [], f"is in no known shape ({outline(record)})"
    if shape == "Alpaca":
        return alpaca_turns(record)
    if shape == TREE:
        return tree_turns(record)
    if shape == "prompt and completion":
        return pair_turns(record)
    turns = next(record[key] for key in CHATS if isinstance(record.get(key), list))
    return with_system(record, chat_turns(turns))


def outline(value: object) -> str:
    """What stands in a record of unknown shape, in few words and ASCII only."""
    if isinstance(value, Mapping):
        return f"its keys: {', '.join(ascii(key)[1:-1] for key in list(value)[:6])}"[:120]
    return f"it is a {type(value).__name__}"


def chat_turns(turns: Sequence[object]) -> Turns:
    """Turns given as {from, value} or {role, content}."""
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            return [], "a turn is not a mapping of role and text"
        named = turn.get("from") or turn.get("role")
        role = ROLES.get(named) or ROLES.get(named.strip().lower()) if isinstance(named, str) else None
        if role is None:
            return [], strange_role(named)
        if turn.get("tool_calls") or turn.get("function_call"):
            return [], "uses tools: a turn calls one"
        value = turn.get("value")
        content = text_of(turn.get("content") if value is None else value)
        if content is None:
            return [], "a turn is not text"
        messages.append({"role": role, "content": content})
    return messages, ""


def strange_role(role: object) -> str:
    if isinstance(role, str) and role.strip().lower().replace("-", "_") in TOOLS:
        return f"uses tools: a turn has the role {ascii(role)[:40]}"
    return f"a turn has the role {ascii(role)[:40]}"


def with_system(record: Fields, turns: Turns) -> Turns:
    """The turns after the record's own system message, where it has one and the turns have none."""
    messages, problem = turns
    key = first_of(record, SYSTEMS)
    if problem or key is None or (messages and messages[0]["role"] == "system"):
        return turns
    system = text_of(record[key])
    if system is None:
        return [], "its system message is not text"
    return ([{"role": "system", "content": system}, *messages] if system.strip() else messages), ""


def alpaca_turns(record: Fields) -> Turns:
    """Instruction and input as the request, after the system message and the turns of the history."""
    history = record.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        return [], "its history is not a list of pairs"
    request = [text_of(record["instruction"]), text_of(record.get("input") or "")]
    asked = None if None in request else "\n\n".join(part for part in request if part)
    reply = record.get(first_of(record, ("output", "response", *REPLIES)) or "output")
    return with_system(record, alternating([*(text for pair in history for text in pair), asked, reply]))


def pair_turns(record: Fields) -> Turns:
    """A prompt and its completion: two texts, or two lists of turns. A chosen reply is one, a rejected one is not."""
    prompt = record[first_of(record, REQUESTS) or ""]
    reply = record[first_of(record, REPLIES) or ""]
    if not isinstance(prompt, list) and isinstance(reply, list):  # preferences repeat the prompt in both replies
        return with_system(record, chat_turns(reply))
    if isinstance(prompt, list) and isinstance(reply, list):
        repeated = reply[: len(prompt)] == prompt
        return with_system(record, chat_turns(reply if repeated else [*prompt, *reply]))
    return with_system(record, alternating([prompt, reply]))


def alternating(said: Iterable[object]) -> Turns:
    texts = [text_of(text) for text in said]
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
        if text is not None
    ]
    return (messages, "") if len(messages) == len(texts) else ([], "a turn is not text")


def tree_turns(record: Fields) -> Turns:
    """The best-ranked path of an OpenAssistant tree: from the prompt, always the reply of the lowest rank.

    Deleted replies and those that reviewers turned down are passed by. Where nobody ranked, replies that were
    answered go first, and then the order of the file.
    """
    turns: list[Fields] = []
    node: object = record["prompt"]
    while isinstance(node, Mapping):
        turns.append({"role": node.get("role"), "content": node.get("text")})
        replies = node.get("replies") or []
        if not isinstance(replies, list) or not all(isinstance(reply, Mapping) for reply in replies):
            return [], "its replies are not a list of messages"
        node = min(filter(is_accepted, replies), key=preference, default=None)
    return chat_turns(turns)


def is_accepted(reply: Fields) -> bool:
    return not reply.get("deleted") and reply.get("review_result") is not False


def preference(reply: Fields) -> tuple[bool, float, bool]:
    said = reply.get("rank")
    rank = said if isinstance(said, int | float) and not isinstance(said, bool) and said == said else None
    return rank is None, rank or 0, not reply.get("replies")


def text_of(value: object) -> str | None:
    """Text, also when given as a list of text parts; None when it is something else."""
    if isinstance(value, str):
        return value if is_text(value) else None
    if isinstance(value, list) and value:
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
        texts = [part for part in parts if isinstance(part, str) and is_text(part)]
        return "\n".join(texts) if len(texts) == len(value) else None
    return None


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: no halves of surrogate pairs, no broken bytes."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_of(record: object) -> str | None:
    """The name that the source itself gives to a record, if it gives one."""
    value = None
    if isinstance(record, Mapping):
        value = record.get("id") if record.get("id") is not None else record.get("message_tree_id")
    value = str(value) if isinstance(value, int) and abs(value) < 10**50 else value
    return value[:200] if isinstance(value, str) and value.strip() and is_text(value) else None
