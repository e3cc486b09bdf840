"""Texts that a stranger may send to be run, fetched or obeyed where a reader should see words.

What runs sets `__pwned`; what fetches asks port 9 of this machine, where nothing listens.
"""

AWAY = "http://127.0.0.1:9/away"
RUN = "window.__pwned=1"

ELEMENTS = (
    f"<script>{RUN}</script>",
    f"<script src={AWAY}.js></script>",
    f"</script><script>{RUN}</script>",
    f"</SCRIPT\t ><img src=x onerror={RUN}>",
    f"<img src={AWAY}.png onerror={RUN}>",
    f"<img/src=x/onerror={RUN}//",
    f"<IMG SRC=x OnErRoR={RUN}>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f'<svg><use href=\'data:image/svg+xml,<svg id=x xmlns="http://www.w3.org/2000/svg" onload="{RUN}"/>#x\'/></svg>',
    f"<svg><foreignObject><body onload={RUN}></foreignObject></svg>",
    f"<svg><image href={AWAY}.svg onerror={RUN}></svg>",
    f"<math><maction actiontype=statusline xlink:href=javascript:{RUN}>x</maction></math>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror={RUN}&gt;'>",
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src={AWAY}.ogg onerror={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<select autofocus onfocus={RUN}><option>x</select>",
    f"<marquee onstart={RUN}>x</marquee>",
    "<iframe srcdoc='<script>parent.__pwned=1</script>'></iframe>",
    f"<iframe src=javascript:parent.{RUN}></iframe>",
    f"<object data={AWAY}.html></object>",
    f"<embed src={AWAY}.swf>",
    f"<base href={AWAY}/>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<link rel=stylesheet href={AWAY}.css>",
    f"<style>@import '{AWAY}.css'; * {{ background: url({AWAY}.gif) }}</style>",
    f"<form action={AWAY}><button autofocus formaction=javascript:{RUN}>x</button></form>",
    f"<p style='background:url({AWAY}.gif)'>x</p>",
    "<plaintext>",
    "<template><script>window.__pwned=1</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'></noscript>",
    f"</title><img src=x onerror={RUN}>",
    f"</textarea></select></style></pre><img src=x onerror={RUN}>",
    f"<x-frame><slot onslotchange={RUN}></slot></x-frame>",
    "<p id=data>{}</p><p id=reply-data>[]</p><p id=case>x</p>",
)
QUOTES = (
    f'"><img src=x onerror={RUN}>',
    f"'><svg/onload={RUN}>",
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}" x="',
    f"' onmouseover='{RUN}' style='background:url({AWAY})",
    f"` onerror=`{RUN}",
    f"x onpointerover={RUN} tabindex=1",
    f"<!-- --!><img src=x onerror={RUN}>",
    f"<!--<script>{RUN}",
    f"--><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    f"<?xml-stylesheet href='{AWAY}.css'?><!DOCTYPE x [<!ENTITY y SYSTEM '{AWAY}'>]>&y;",
)
ADDRESSES = (
    f"javascript:{RUN}",
    f"JaVaScRiPt\t:\n{RUN}//",
    f"&#106;avascript&colon;{RUN}",
    f"data:text/html,<script>opener.{RUN}</script>",
    "vbscript:window.__pwned=1",
    "//127.0.0.1:9/away.png",
    f"url({AWAY}.gif);}} * {{ background: url({AWAY}.gif) }}",
)
LABELS = (
    f'<a href="javascript:{RUN}">Code</a>',
    f'<a href="{AWAY}" target="_blank" style="color:red">Code</a>',
    "<b>bold</b><i>slanted</i><br>below<sup>up</sup>",
    f'<span style="background:url({AWAY})">x</span>',
    "&lt;b&gt;not bold&lt;/b&gt; &amp;amp; &#60;i&#62; &nbsp;",
    "$\\href{javascript:window.__pwned=1}{x}$",
    "%{customdata} %{x}<extra></extra> %{text:.2f}",
)
PROGRAMS = (
    "{{ 7*7 }}{% for x in y %}{{ cycler.__init__.__globals__ }}{% endfor %}{# x #}",
    "${window.__pwned=1} #{7*7} <%= 7*7 %> `${window.__pwned=1}`",
    "'-(window.__pwned=1)-'",
    '";window.__pwned=1;//',
    "\\\";window.__pwned=1;//\\u003cscript\\u003e\\x3c",
    "\u2028window.__pwned=1//\u2029",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    '{"__proto__": {"__pwned": 1}}',
    "=cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    f'=HYPERLINK("{AWAY}","x")',
)  # fmt: skip
SIGNS = (
    "\u202eright to left\u202c \u2066isolated\u2069 \u200f\u200b\ufeff",
    "\x00nul\x00 \x07bell \x08\x08back \x7f \x85 \x9b31m",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "a\r\nb\rc\td\x0be\x0cf",
    "a\u0300\u0301\u0302" + "\u0300" * 60 + " \U0001f469\u200d\U0001f4bb \U000e0041",
    "half \ud800 pair \udfff",
    "\ufffe\uffff noncharacters",
)
LONG = (f"{'long ' * 400}<img src=x onerror={RUN}>", f"{'<b>' * 300}deep{'</b>' * 300}")
LONGEST = ("A" * 100_000, "<" * 50_000 + "&" * 50_000)  # too long for a name that stands in a thousand rows

NAMES = (*ELEMENTS, *QUOTES, *ADDRESSES, *LABELS, *PROGRAMS, *SIGNS, *LONG)
TEXTS = (*NAMES, *LONGEST)
