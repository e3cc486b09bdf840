"""A reply -> whether it only refuses, or is a message of the service instead of a reply.

Both are read from how the reply begins. A reply that refuses and then helps is a reply.
"""

import re

LONGEST = 700  # characters; what says more also helps

SERVICE = re.compile(
    r"(?:network error|too many requests in \d|only one message at a time|our systems are detecting unusual"
    r"|something went wrong\. if this issue persists|hmm\W{1,5}something seems to have gone wrong"
    r"|an error occurred\. (?:if this issue persists|either the engine)|unable to load conversation"
    r"|there was an error generating a response|error in (?:message|body) stream|internal server error$"
    r"|the server is (?:currently )?overloaded|the server experienced an error|that model is currently overloaded"
    r"|we(?:'|’)re experiencing exceptionally high demand|chatgpt is at capacity|this content may violate our"
    r"|you(?:'|’)ve reached (?:our limit|the current usage cap)|conversation not found|emptymarkdowncontent"
    r"|the message you submitted was too long|request timed out|your authentication token has expired)",
    re.IGNORECASE,
)

SORRY = (
    r"(?:i(?:'m| am) (?:\w+ )?(?:sorry|afraid)|sorry|i (?:do )?apologi[sz]e|my apologies|apologies|unfortunately"
    r"|regrettably)"
)
MACHINE = (
    r"(?:as|since|because|i(?:'m| am)|being)(?: i(?:'m| am))? (?:just |only |simply )?an? (?:[\w-]+ ){0,3}?"
    r"(?:ai|artificial intelligence|language model|chatbot|assistant|computer program|machine)\b[^.!?\n]{0,60}?"
)
NOT_ABLE = r"(?:unable|not able|not capable|not comfortable|not programmed|not designed|not allowed|not permitted)"
UNABLE = (
    rf"(?:i (?:cannot|can't|can not|could not|won't|will not|must decline|refuse to|am (?:currently )?{NOT_ABLE}"
    r"|(?:do not|don't) (?:currently )?have (?:the (?:ability|capability|capacity|necessary)|access|opinions"
    r"|personal (?:opinions|beliefs|preferences|views))|(?:do not|don't) (?:possess|support|engage))"
    rf"|i'm (?:currently )?{NOT_ABLE}|it (?:is|would be) (?:not appropriate|inappropriate|unethical|not ethical"
    r"|against)|that(?:'s| is) (?:against|inappropriate|not appropriate))"
)
TASK = (
    r"(?:fulfil\w*|comply|assist|help (?:you )?with (?:that|this)|provide|generate|create|write|engage|continue|answer"
    r"|discuss|participate|promote|support|condone|produce|perform|access|share|give|make|do that|complete|browse|open"
    r"|send|draw|play)"
)
REFUSALS = (
    rf"(?:{SORRY}[,.;:]? ?(?:but |that |if [^.\n]{{0,40}}?but )?)(?:{MACHINE}[, ]{{0,2}}(?:and |so |but )?)?{UNABLE}\b",
    rf"{MACHINE}[, ]{{0,2}}(?:and |so |but )?{UNABLE}\b",
    rf"(?:i (?:cannot|can't|can not|am unable to|am not able to)|i'm (?:unable|not able) to) {TASK}\b",
    r"(?:lo siento|disculpa|perdón)\b[^.\n]{0,80}\bno (?:puedo|tengo)\b",
    r"como (?:un )?(?:modelo|una? (?:ia|inteligencia))[^.\n]{0,80}\bno (?:puedo|tengo)\b",
    r"(?:je suis )?désolée?\b[^.\n]{0,100}\bje ne (?:peux|suis)\b",
    r"en tant qu(?:e|')[^.\n]{0,80}\bje ne (?:peux|suis|possède)\b",
    r"(?:es tut mir leid|entschuldigung|tut mir leid)\b[^.\n]{0,80}\b(?:kann|habe)\b[^.\n]{0,60}\b(?:nicht|kein\w*)\b",
    r"als (?:ki|künstliche)\b[^.\n]{0,80}\b(?:nicht|kein\w*)\b",
    r"(?:desculpe|sinto muito|lamento)\b[^.\n]{0,80}\bnão (?:posso|tenho|consigo)\b",
    r"como (?:um )?modelo de linguagem[^.\n]{0,80}\bnão\b",
    r"(?:mi dispiace|scusa)\b[^.\n]{0,80}\bnon (?:posso|ho|sono in grado)\b",
    r"(?:很抱歉|抱歉|对不起|對不起)[^。\n]{0,60}(?:无法|無法|不能)",
    r"作为(?:一个|一名)?(?:人工智能|ai|语言模型)[^。\n]{0,40}(?:无法|不能|没有)",
    r"申し訳(?:ありません|ございません)[^\n]{0,80}(?:できません|ありません|かねます)",
    r"죄송(?:합니다|하지만)[^\n]{0,80}(?:없습니다|못합니다)",
    r"(?:извините|простите|к сожалению)\b[^.\n]{0,80}\bне (?:могу|имею)\b",
)
REFUSAL = re.compile("|".join(f"(?:{form})" for form in REFUSALS), re.IGNORECASE)

# Signs that the reply goes on to help, or asks for what it lacks.
HELPS = re.compile(
    r"\bhowever\b|\b(?:but|instead|that said|still|nevertheless|although|though|what|here),? (?:i'(?:m able|ll|d)"
    r"|i (?:can(?!'t|not| not)|could|will|would|am able|know|have)|based on|in general"
    r"|you (?:can|could|may|might)|there|one|please|let me)\b|\bhere(?:'s| is| are)\b"
    r"|\byou (?:can|could|may|might) (?!ask\b)|\bi can (?!only |help |assist |do )"
    r"|\bi (?:suggest|recommend|would (?:suggest|recommend|advise|be happy to)|hope|believe)\b"
    r"|\b(?:to do (?:this|so|that)|for example|such as|in general|generally|double-check|refer to|consult)\b"
    r"|\bi'(?:ll|d) (?:do|be)\b|\bit(?:'s| is| would be) (?:best|better|recommended)\b"
    r"|\b(?:could|can|would|will) you (?:please )?(?:provide|clarify|share|give|tell|specify|rephrase|let me|send|copy"
    r"|paste|be more)|\bif you (?:can |could |would )?(?:provide|give|share|tell|paste|copy|specify|clarify|let me)\b"
    r"|\bplease (?:provide|clarify|share|give|specify|paste|copy|rephrase|try|let me know (?:wh|how|the|more))"
    r"|\b(?:sin embargo|te recom\w+|puedo recomendar|podrías|cependant|toutefois|jedoch|allerdings|no entanto|tuttavia"
    r"|potresti)\b|但|不过|ただし|하지만 제가|однако"
    r"|```|^\s*(?:\d+[.)]|[*-]) |\|\s*-{3}",
    re.IGNORECASE | re.MULTILINE,
)


def is_service_message(reply: str) -> bool:
    """Whether the chat service speaks instead of the model: a limit, an error, an outage."""
    return len(reply) <= LONGEST and bool(SERVICE.match(reply.strip()))


def only_refuses(reply: str) -> bool:
    """Whether a reply begins by refusing what was asked and offers nothing in its stead."""
    if len(reply) > LONGEST:
        return False
    said = reply.strip().replace("’", "'")
    return bool(REFUSAL.match(said)) and not HELPS.search(said)
