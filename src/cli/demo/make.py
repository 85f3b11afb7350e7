"""Makes the PDF and DOCX texts of the demo from `sources/`.

    python3 -m venv make-venv
    make-venv/bin/pip install fpdf2==2.8.9
    make-venv/bin/python src/cli/demo/make.py [--font FONT.ttf]

What it writes is committed, so that nobody needs this script to build or to run simile. The same
sources give the same bytes: dates in the files are fixed.

The texts were written for simile and share its licence (Apache-2.0). The Chinese PDF embeds a subset
of Droid Sans Fallback (Copyright 2006-2010 Google Corp., Apache License 2.0; Debian package
fonts-droid-fallback), the English ones use the standard PDF fonts and embed none.
"""

import argparse
import datetime
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import fpdf

HERE = Path(__file__).parent
WRITTEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
# source -> file under texts/, language
FILES = {
    "winter-log": ("observatory/winter-log.pdf", "en"),
    "telescope-care-zh": ("observatory/telescope-care-zh.pdf", "zh"),
    "outboard-motor": ("harbour/outboard-motor.pdf", "en"),
    "safety-meeting": ("town/safety-meeting.docx", "en"),
    "galley-suppers": ("kitchen/galley-suppers.docx", "en"),
    "three-days-zh": ("travel/three-days-zh.docx", "zh"),
}


def blocks(source):
    """Yields (level, text): 1 and 2 for headings, 0 for a paragraph, -1 for a new page."""
    for block in source.read_text(encoding="utf-8").strip().split("\n\n"):
        if block == "---":
            yield -1, ""
        elif block.startswith("#"):
            marks, text = block.split(" ", 1)
            yield len(marks), text
        else:
            yield 0, block


def write_pdf(source, target, language, font):
    pdf = fpdf.FPDF(format=(148, 210))
    pdf.set_creation_date(WRITTEN)
    pdf.set_lang(language)
    family = "Times"
    if language == "zh":
        family = "Droid"
        pdf.add_font(family, "", font)
    pdf.add_page()
    for level, text in blocks(source):
        if level == -1:
            pdf.add_page()
            continue
        if level == 1:
            pdf.set_title(text)
        bold = "B" if level > 0 and family == "Times" else ""
        pdf.set_font(family, bold, {0: 11, 1: 18, 2: 13}[level])
        align = "L" if level or language == "zh" else "J"
        pdf.multi_cell(0, {0: 6, 1: 12, 2: 10}[level], text, align=align, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(2)
    pdf.output(str(target))


def write_docx(source, target, language):
    title, body = "", []
    for level, text in blocks(source):
        if level == 1:
            title = text
        style = {0: "Normal", 1: "Title", 2: "Heading1"}[level]
        body.append(
            f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>'
            f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
        )
    when = WRITTEN.strftime("%Y-%m-%dT%H:%M:%SZ")
    core = CORE.format(title=escape(title), language=language, when=when)
    entries = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": RELATIONS,
        "docProps/core.xml": core,
        "word/_rels/document.xml.rels": DOCUMENT_RELATIONS,
        "word/styles.xml": STYLES,
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{"".join(body)}</w:body></w:document>',
    }
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in entries.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}')


# The smallest package that word processors open (ECMA-376, parts 1 and 2).
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPE = "application/vnd.openxmlformats-"
CONTENT_TYPES = (
    f'<Types xmlns="{PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="{TYPE}package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{TYPE}officedocument.wordprocessingml.document.main+xml"/>'
    f'<Override PartName="/word/styles.xml" ContentType="{TYPE}officedocument.wordprocessingml.styles+xml"/>'
    f'<Override PartName="/docProps/core.xml" ContentType="{TYPE}package.core-properties+xml"/></Types>'
)
RELATIONS = (
    f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
    f'<Relationship Id="rId2" Type="{PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
    "</Relationships>"
)
DOCUMENT_RELATIONS = (
    f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
)
CORE = (
    f'<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{title}</dc:title>'
    "<dc:language>{language}</dc:language>"
    '<dcterms:created xsi:type="dcterms:W3CDTF">{when}</dcterms:created></cp:coreProperties>'
)
STYLES = (
    f'<w:styles xmlns:w="{WORD}">'
    '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/><w:basedOn w:val="Normal"/>'
    '<w:rPr><w:b/><w:sz w:val="40"/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/>'
    '<w:basedOn w:val="Normal"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr>'
    '<w:rPr><w:b/><w:sz w:val="28"/></w:rPr></w:style></w:styles>'
)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "--font", default="/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
        help="Droid Sans Fallback, for the Chinese PDF (default: where Debian puts it)",
    )
    font = arguments.parse_args().font
    for name, (path, language) in FILES.items():
        source, target = HERE / "sources" / f"{name}.md", HERE / "texts" / path
        if target.suffix == ".pdf":
            write_pdf(source, target, language, font)
        else:
            write_docx(source, target, language)
        print(f"{target.relative_to(HERE)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
