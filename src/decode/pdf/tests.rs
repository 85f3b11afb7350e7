use super::*;
use crate::document::Value;

const ENGLISH: &[u8] = include_bytes!("../../../tests/fixtures/decode/mill-en.pdf");
const CHINESE: &[u8] = include_bytes!("../../../tests/fixtures/decode/cat-zh.pdf");
const PREDEFINED: &[u8] = include_bytes!("../../../tests/fixtures/decode/predefined-zh.pdf");
const ENCRYPTED: &[u8] = include_bytes!("../../../tests/fixtures/decode/encrypted.pdf");
const IMAGE_ONLY: &[u8] = include_bytes!("../../../tests/fixtures/decode/image-only.pdf");
const SPREAD: &[u8] = include_bytes!("../../../tests/fixtures/decode/spread.pdf");

fn read(bytes: &[u8]) -> Result<TextContent, DecodeError> {
    decode(bytes, &Limits::default(), &Cancellation::new())
}

#[test]
fn lines_become_paragraphs_under_headings_on_pages() {
    let content = read(ENGLISH).unwrap();
    let sections: Vec<_> = content
        .sections
        .iter()
        .map(|section| {
            let heading = section.heading.as_deref().unwrap_or("");
            (section.page, heading, &content.text[section.bytes.clone()])
        })
        .collect();
    assert_eq!(
        sections,
        [
            (Some(1), "The mill by the river", "The mill by the river"),
            (
                Some(1),
                "The mill by the river > How it was built",
                "How it was built\n\nThe first mill was built by two brothers who had brought the \
                 stones down from the hills on a sledge. They worked through the whole winter, and \
                 when the ice broke in March the wheel turned for the first time.\n\nNobody in the \
                 valley had seen such a wheel. People came from far away and stood on the bridge to \
                 watch the water fall from bucket to bucket.",
            ),
            (
                Some(1),
                "The mill by the river > What it ground",
                "What it ground\n\nMost of the grain was rye, which grew on the upper fields. The \
                 miller took one sack in twelve as his wage, and no one thought that this was too \
                 much. In dry summers the wheel stood still for weeks, and the farmers carried their \
                 sacks to the town, a day's walk on a bad road. After the flood the brothers built a \
                 pond above the mill, so that there was water even in August. The pond is still \
                 there. Herons stand in it now, and in the evening the bats come out to hunt over the \
                 quiet water.\n\nWhen the railway came, the mill was already old, and the youngest of \
                 the family had gone to sea; the wheel turned for a last time in the autumn of",
            ),
            (
                Some(2),
                "The mill by the river > What it ground",
                "that year, and then the sluice was closed for good.",
            ),
            (
                Some(2),
                "The mill by the river > What is left",
                "What is left\n\nPart Made of Years\nwheel oak 90\nstones granite 210",
            ),
            (Some(3), "The mill by the river > What is left", "The last page has one sentence.",),
        ]
    );
    assert_eq!(content.title.as_deref(), Some("The mill by the river"));
    assert_eq!(content.metadata["author"], Value::Text("Maintainers".to_owned()));
    assert_eq!(content.metadata["created"], Value::Text("2024-05-01T08:30:00Z".to_owned()));
    assert!(content.warnings.is_empty());
    // A sentence that runs over the page is one paragraph: a line break parts it, no empty line.
    assert!(content.text.contains("in the autumn of\nthat year"));
}

#[test]
fn chinese_in_an_embedded_font_is_read_without_blanks_at_line_ends() {
    let content = read(CHINESE).unwrap();
    assert_eq!(
        content.text,
        "小猫和老鼠\n\n小猫在院子里追逐老鼠，老鼠躲进了墙角的洞里。晚上月亮升起来的时候，小猫还在洞口等着。\
         它一动也不动，只有尾巴轻轻地摇晃。\n\n第二天早上，老人给小猫一碗牛奶。小猫喝完以后，就在太阳下睡着了。"
    );
    assert_eq!(content.title.as_deref(), Some("小猫和老鼠"));
}

#[test]
fn chinese_in_a_font_that_is_not_embedded_is_read_through_the_predefined_map() {
    assert_eq!(read(PREDEFINED).unwrap().text, "小猫追逐老鼠。");
}

#[test]
fn a_password_is_asked_for_by_name_and_images_are_said_to_be_images() {
    assert_eq!(
        read(ENCRYPTED).unwrap_err().to_string(),
        "the PDF is encrypted and needs a password; remove the password first"
    );
    let content = read(IMAGE_ONLY).unwrap();
    assert_eq!(
        (content.text.as_str(), content.warnings.as_slice()),
        (
            "",
            &["no text: the pages are images, and recognising characters is not supported"
                .to_owned()][..]
        )
    );
}

#[test]
fn a_drawing_without_end_is_ended() {
    assert_eq!(
        read(SPREAD).unwrap_err().to_string(),
        "too many drawing steps: at most 10200000, got 10200001"
    );
    let limits = Limits { pdf_time_max: Duration::from_millis(40), ..Limits::default() };
    assert_eq!(
        decode(SPREAD, &limits, &Cancellation::new()).unwrap_err().to_string(),
        "the PDF was not read within 0 seconds"
    );
    let cancel = Cancellation::new();
    cancel.cancel();
    assert!(matches!(
        decode(SPREAD, &Limits::default(), &cancel),
        Err(DecodeError::Interrupted(_))
    ));
}

#[test]
fn limits_on_pages_text_and_unpacked_bytes_are_kept() {
    let limits = Limits { pages_max: 2, ..Limits::default() };
    assert_eq!(
        decode(ENGLISH, &limits, &Cancellation::new()).unwrap_err().to_string(),
        "too many pages: at most 2, got 3"
    );
    let limits = Limits { text_bytes_max: 100, ..Limits::default() };
    assert_eq!(
        decode(ENGLISH, &limits, &Cancellation::new()).unwrap_err().to_string(),
        "too many bytes of text: at most 100, got 101"
    );
    let limits = Limits { unpacked_bytes_max: 1_000, ..Limits::default() };
    let error = decode(ENGLISH, &limits, &Cancellation::new()).unwrap_err().to_string();
    assert!(error.starts_with("too many bytes of unpacked streams: at most 1000"), "{error}");
}

#[test]
fn nesting_of_any_depth_does_not_overflow_the_stack() {
    for deep in ["[", "<<", "<</A", "("] {
        let mut file = b"%PDF-1.4\n1 0 obj\n".to_vec();
        file.extend(deep.repeat(1 << 20).as_bytes());
        file.extend(b"\nendobj\ntrailer << /Root 1 0 R >>\n");
        assert!(read(&file).is_err());
    }
    let content = "[".repeat(1 << 20);
    let page = format!(
        "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages \
         /Kids [3 0 R] /Count 1 >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R /Contents 4 0 R \
         >>\nendobj\n4 0 obj\n<< /Length {} >>\nstream\n{content}\nendstream\nendobj\ntrailer << \
         /Root 1 0 R >>\n",
        content.len()
    );
    assert_eq!(read(page.as_bytes()).unwrap().text, "");
}
