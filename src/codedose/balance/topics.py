"""Requests -> what they are about, by a small list of words that anyone can read.

Not a model of topics: the list only has to show when two arms differ in what people talk about.
"""

import polars as pl

FROM = 2000  # characters of a conversation's requests that are looked at
ENOUGH = 2  # words of a topic that it takes

LEXICON = {
    "business": "company customer customers market marketing sales business product products brand startup revenue "
    "strategy clients advertising seo pricing ecommerce competitors manager campaign entrepreneur sell leads",
    "computing": "code python javascript server database api software app website html css linux docker aws cloud "
    "install error file files command browser programming developer function script windows android data",
    "education": "student students teacher school university lesson course exam homework learning classroom essay "
    "curriculum grade college lecture study professor thesis quiz academic syllabus textbook tutor",
    "fiction": "story character characters chapter scene plot novel dialogue protagonist villain hero magic fantasy "
    "dragon kingdom poem poetry rhyme lyrics fanfiction narrator wizard adventure tale",
    "finance": "money invest investment stock stocks tax taxes loan bank credit mortgage budget income price dollars "
    "crypto bitcoin trading financial inflation savings insurance payment accounting debt",
    "food": "recipe food cook cooking meal dinner ingredients sauce chicken cheese bake oven restaurant flavor dish "
    "vegetables breakfast sugar salt diet wine coffee rice soup",
    "games": "game games player players team football basketball soccer chess score level minecraft quest dungeon "
    "dice campaign league match tournament npc dnd pokemon sport sports",
    "health": "health patient patients doctor disease medical symptoms treatment pain therapy sleep drug drugs cancer "
    "blood exercise mental anxiety hospital clinical diagnosis surgery vitamin muscle",
    "language": "translate translation english spanish french german grammar sentence sentences word words phrase "
    "rewrite paraphrase paragraph tone synonym verb noun vocabulary chinese japanese summarize text",
    "law": "law legal court contract attorney rights plaintiff defendant clause agreement liability judge statute "
    "lawyer regulation constitution copyright privacy policy act government tenant lawsuit",
    "mathematics": "equation number numbers calculate probability matrix function integral theorem proof sum integer "
    "triangle algebra geometry derivative vector percent fraction polynomial statistics mean variance graph",
    "science": "energy physics chemistry biology cell cells species molecule atom quantum planet earth climate "
    "temperature experiment gene protein evolution star galaxy water carbon electron theory",
    "society": "history war country political president religion god church culture century empire election "
    "social gender women philosophy democracy war freedom population american europe china",
    "travel": "travel trip city hotel flight visit beach tour destination vacation airport itinerary museum island "
    "tourist train map hiking weather mountain passport guide",
    "work": "job resume interview email letter cover position candidate salary career colleague meeting boss "
    "employee linkedin experience skills team hiring application professional recruiter",
}
NONE = "other"
NAMES = (*sorted(LEXICON), NONE)


def topics(requests: pl.Series) -> pl.Series:
    """The topic of each text: the one most of whose words stand in it, or `other`.

    A word counts each time; one of several topics counts for each. Ties go to the name that sorts first.
    """
    pairs = [(word, name) for name, words in sorted(LEXICON.items()) for word in sorted(set(words.split()))]
    known = pl.DataFrame(pairs, schema={"word": pl.String, "topic": pl.String}, orient="row")
    words = requests.str.slice(0, FROM).str.to_lowercase().str.extract_all(r"[a-z]+")
    counted = (
        pl.DataFrame({"row": pl.arange(len(requests), eager=True), "word": words})
        .explode("word")
        .join(known, on="word")
        .group_by("row", "topic")
        .len()
        .filter(pl.col("len") >= ENOUGH)
        .sort(["row", "len", "topic"], descending=[False, True, False])
        .unique("row", keep="first", maintain_order=True)
    )
    rows = pl.DataFrame({"row": pl.arange(len(requests), eager=True)})
    return rows.join(counted, on="row", how="left", maintain_order="left")["topic"].fill_null(NONE)
