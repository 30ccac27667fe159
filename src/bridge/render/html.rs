//! Telegram's HTML: read strictly, so that nothing is sent that Telegram would refuse, and written anew.
//!
//! A text with markup is the text that people see and the spans that are marked in it, which is also how Telegram has it:
//! lengths are those of the visible text, and any piece of it can be written with the spans that reach into it.

use std::ops::Range;

use super::clean::units_of;

/// A text with marked spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup {
    /// What people see.
    pub(super) text: String,
    /// What is marked in it, in the order in which it begins; one is within another or apart from it.
    pub(super) spans: Vec<Span>,
}

/// A marked piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it is in the text, in bytes.
    pub(super) range: Range<usize>,
    /// How it is marked.
    pub(super) tag: Tag,
}

/// What Telegram can mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    /// `<b>`
    Bold,
    /// `<i>`
    Italic,
    /// `<u>`
    Underlined,
    /// `<s>`
    Struck,
    /// `<tg-spoiler>`
    Spoiler,
    /// `<code>`
    Code,
    /// `<pre>`, perhaps with a language.
    Block(Option<String>),
    /// `<blockquote>`, perhaps folded up.
    Quote {
        /// Whether it is.
        is_expandable: bool,
    },
    /// `<a>`, to this URL.
    Link(String),
    /// `<tg-emoji>`, by its number.
    Emoji(String),
}

/// Why a text is not Telegram's HTML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MarkupError {
    /// A `<` that begins no tag.
    #[error("a `<` at byte {0} begins no tag; as text it is written `&lt;`")]
    StrayBracket(usize),
    /// A tag that Telegram does not know.
    #[error("Telegram does not know the tag <{0}>")]
    UnknownTag(String),
    /// A tag with attributes that it can not have, or without one that it needs.
    #[error("the tag <{0}> has not the attributes that it needs")]
    Attributes(String),
    /// An end without a beginning, or before what it contains is ended.
    #[error("</{0}> ends nothing that was begun last")]
    StrayEnd(String),
    /// No end.
    #[error("<{0}> is not ended")]
    Open(String),
    /// A quote in a quote, or markup in code.
    #[error("<{0}> can not be where it is")]
    Nested(String),
}

impl Tag {
    fn may_contain(&self, inner: &Tag) -> bool {
        match self {
            Tag::Code | Tag::Block(_) => false,
            Tag::Quote { .. } => !matches!(inner, Tag::Quote { .. }),
            Tag::Link(_) => !matches!(inner, Tag::Link(_)),
            _ => true,
        }
    }

    fn open(&self, html: &mut String) {
        match self {
            Tag::Bold => html.push_str("<b>"),
            Tag::Italic => html.push_str("<i>"),
            Tag::Underlined => html.push_str("<u>"),
            Tag::Struck => html.push_str("<s>"),
            Tag::Spoiler => html.push_str("<tg-spoiler>"),
            Tag::Code => html.push_str("<code>"),
            Tag::Block(None) => html.push_str("<pre>"),
            Tag::Block(Some(language)) => {
                html.push_str("<pre><code class=\"language-");
                escape(language, html);
                html.push_str("\">");
            }
            Tag::Quote { is_expandable: false } => html.push_str("<blockquote>"),
            Tag::Quote { is_expandable: true } => html.push_str("<blockquote expandable>"),
            Tag::Link(url) => {
                html.push_str("<a href=\"");
                escape(url, html);
                html.push_str("\">");
            }
            Tag::Emoji(number) => {
                html.push_str("<tg-emoji emoji-id=\"");
                escape(number, html);
                html.push_str("\">");
            }
        }
    }

    fn close(&self) -> &'static str {
        match self {
            Tag::Bold => "</b>",
            Tag::Italic => "</i>",
            Tag::Underlined => "</u>",
            Tag::Struck => "</s>",
            Tag::Spoiler => "</tg-spoiler>",
            Tag::Code => "</code>",
            Tag::Block(None) => "</pre>",
            Tag::Block(Some(_)) => "</code></pre>",
            Tag::Quote { .. } => "</blockquote>",
            Tag::Link(_) => "</a>",
            Tag::Emoji(_) => "</tg-emoji>",
        }
    }
}

impl Markup {
    /// Reads a text with tags.
    pub(super) fn parse(html: &str) -> Result<Markup, MarkupError> {
        let mut markup = Markup::default();
        // The tags that are open: the name that ends each, and which span it is.
        let mut open: Vec<(String, Option<usize>)> = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find(['<', '&']) {
            let (before, special) = rest.split_at(at);
            markup.text.push_str(before);
            let place = html.len() - special.len();
            if special.starts_with('&') {
                let (character, length) = entity(special).unwrap_or(('&', 1));
                markup.text.push(character);
                rest = special.get(length..).unwrap_or_default();
                continue;
            }
            let end = end_of_tag(special).ok_or(MarkupError::StrayBracket(place))?;
            let inside = special.get(1..end).unwrap_or_default();
            rest = special.get(end + 1..).unwrap_or_default();
            if let Some(name) = inside.strip_prefix('/') {
                let name = name.trim().to_ascii_lowercase();
                match open.pop() {
                    Some((expected, span)) if expected == name => {
                        if let Some(span) = span.and_then(|span| markup.spans.get_mut(span)) {
                            span.range.end = markup.text.len();
                        }
                    }
                    _ => return Err(MarkupError::StrayEnd(name)),
                }
                continue;
            }
            let (name, attributes) = attributes(inside).ok_or(MarkupError::StrayBracket(place))?;
            // The language of a block is said by a second tag right in it, which is none of its own.
            if name == "code"
                && let Some((_, Some(outer))) = open.last()
                && let Some(outer) = markup.spans.get_mut(*outer)
                && outer.tag == Tag::Block(None)
                && outer.range.start == markup.text.len()
            {
                outer.tag = Tag::Block(language(&attributes));
                open.push((name, None));
                continue;
            }
            let tag = tag(&name, &attributes)?;
            let is_allowed =
                open.iter().filter_map(|(_, span)| markup.spans.get((*span)?)).all(|outer| outer.tag.may_contain(&tag));
            if !is_allowed {
                return Err(MarkupError::Nested(name));
            }
            open.push((name, Some(markup.spans.len())));
            let start = markup.text.len();
            markup.spans.push(Span { range: start..start, tag });
        }
        markup.text.push_str(rest);
        match open.pop() {
            Some((name, _)) => Err(MarkupError::Open(name)),
            None => Ok(markup),
        }
    }

    /// The length that Telegram counts.
    pub(super) fn units(&self) -> usize {
        units_of(&self.text)
    }

    /// Whether nobody would see anything.
    pub(super) fn is_blank(&self) -> bool {
        super::clean::line(&self.text).is_empty()
    }

    /// A piece of it, with its tags closed and opened anew where they reach beyond it.
    pub(super) fn piece(&self, range: Range<usize>) -> Markup {
        let text = self.text.get(range.clone()).unwrap_or_default().to_owned();
        let spans = self.spans.iter().filter_map(|span| {
            let start = span.range.start.clamp(range.start, range.end) - range.start;
            let end = span.range.end.clamp(range.start, range.end) - range.start;
            (start < end).then(|| Span { range: start..end, tag: span.tag.clone() })
        });
        Markup { spans: spans.collect(), text }
    }

    /// As it is sent.
    pub(super) fn html(&self) -> String {
        let mut html = String::with_capacity(self.text.len() + self.spans.len() * 8);
        let mut open: Vec<&Span> = Vec::new();
        let mut written = 0;
        let mut write_to = |html: &mut String, to: usize| {
            escape(self.text.get(written..to).unwrap_or_default(), html);
            written = to;
        };
        for span in self.spans.iter().filter(|span| !span.range.is_empty()) {
            while let Some(last) = open.pop_if(|last| last.range.end <= span.range.start) {
                write_to(&mut html, last.range.end);
                html.push_str(last.tag.close());
            }
            write_to(&mut html, span.range.start);
            span.tag.open(&mut html);
            open.push(span);
        }
        while let Some(last) = open.pop() {
            write_to(&mut html, last.range.end);
            html.push_str(last.tag.close());
        }
        write_to(&mut html, self.text.len());
        html
    }

    /// Without markup; where a link leads is said behind it.
    pub(super) fn plain(&self) -> String {
        let mut plain = String::with_capacity(self.text.len());
        let mut written = 0;
        for Span { range, tag } in &self.spans {
            let (Tag::Link(url), Some(label)) = (tag, self.text.get(range.clone())) else { continue };
            if label.trim() == url || range.start < written {
                continue;
            }
            plain.push_str(self.text.get(written..range.end).unwrap_or_default());
            plain.push_str(&format!(" ({url})"));
            written = range.end;
        }
        plain.push_str(self.text.get(written..).unwrap_or_default());
        plain
    }
}

/// Writes text so that none of it is markup.
pub(super) fn escape(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            _ => html.push(character),
        }
    }
}

/// The character that an entity stands for and the entity's length; Telegram takes any other `&` as it stands.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?).filter(|character| *character != '\0')?
        }
    };
    Some((character, end + 1))
}

/// Where the tag ends that a text begins with: at its `>` outside quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'<') => return None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The name of a tag and its attributes.
fn attributes(inside: &str) -> Option<(String, Vec<(String, String)>)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let name_end = inside.find(|character| !is_part(character)).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(name_end);
    if name.is_empty() || !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
        return None;
    }
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some((name.to_ascii_lowercase(), found));
        }
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let (attribute, after) = rest.split_at(end);
        if attribute.is_empty() {
            return None;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            found.push((attribute.to_ascii_lowercase(), String::new()));
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let value = value.get(1..)?;
        let end = value.find(quote)?;
        let (value, after) = value.split_at(end);
        found.push((attribute.to_ascii_lowercase(), unescape(value)));
        rest = after.get(1..)?;
    }
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        let (before, special) = rest.split_at(at);
        text.push_str(before);
        let (character, length) = entity(special).unwrap_or(('&', 1));
        text.push(character);
        rest = special.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

fn language(attributes: &[(String, String)]) -> Option<String> {
    let (_, class) = attributes.iter().find(|(name, _)| name == "class")?;
    class.strip_prefix("language-").filter(|language| !language.is_empty()).map(str::to_owned)
}

fn tag(name: &str, attributes: &[(String, String)]) -> Result<Tag, MarkupError> {
    let value = |wanted: &str| {
        let found = attributes.iter().find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.clone()).ok_or_else(|| MarkupError::Attributes(name.to_owned()))
    };
    Ok(match name {
        "b" | "strong" => Tag::Bold,
        "i" | "em" => Tag::Italic,
        "u" | "ins" => Tag::Underlined,
        "s" | "strike" | "del" => Tag::Struck,
        "tg-spoiler" => Tag::Spoiler,
        "span" if value("class")? == "tg-spoiler" => Tag::Spoiler,
        "span" => return Err(MarkupError::Attributes(name.to_owned())),
        "code" => Tag::Code,
        "pre" => Tag::Block(None),
        "blockquote" => Tag::Quote { is_expandable: attributes.iter().any(|(attribute, _)| attribute == "expandable") },
        "a" => Tag::Link(value("href")?),
        "tg-emoji" => Tag::Emoji(value("emoji-id")?),
        _ => return Err(MarkupError::UnknownTag(name.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_telegram_takes_is_read_and_written_the_same() {
        for html in [
            "plain",
            "<b>bold <i>both</i></b> none",
            "<b><i>both</i></b>",
            "<a href=\"https://example.org/?a=1&amp;b=%22\">x &lt; y</a>",
            "<pre><code class=\"language-rust\">fn main() {}</code></pre>",
            "<pre>a\n b</pre><blockquote expandable>quoted <b>x</b></blockquote>",
            "<tg-spoiler>no</tg-spoiler><tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>",
        ] {
            assert_eq!(Markup::parse(html).unwrap().html(), html);
        }
        let other_names = "<STRONG>a</STRONG><em>b</em><ins>c</ins><del>d</del><span class='tg-spoiler'>e</span>";
        assert_eq!(
            Markup::parse(other_names).unwrap().html(),
            "<b>a</b><i>b</i><u>c</u><s>d</s><tg-spoiler>e</tg-spoiler>"
        );
    }

    #[test]
    fn entities_are_characters_and_everything_else_is_itself() {
        let markup = Markup::parse("&lt;&#60;&#x3C;&amp;lt; &quot;R&D&quot; &nbsp; &#0; a > b 🔴").unwrap();
        assert_eq!(markup.text, "<<<&lt; \"R&D\" &nbsp; &#0; a > b 🔴");
        assert_eq!(markup.units(), markup.text.encode_utf16().count());
    }

    #[test]
    fn what_telegram_refuses_is_refused() {
        for html in [
            "a < b",
            "<",
            "<no value>",
            "<br>",
            "<b>",
            "</b>",
            "<b><i></b></i>",
            "<a>x</a>",
            "<a href=\"\">x</a>",
            "<div>x</div>",
            "<span>x</span>",
            "<code><b>x</b></code>",
            "<blockquote><blockquote>x</blockquote></blockquote>",
            "<b x>",
            "<a href=unquoted>x</a>",
            "<b",
            "<!-- x -->",
        ] {
            assert!(Markup::parse(html).is_err(), "{html}");
        }
    }

    #[test]
    fn a_piece_has_the_tags_that_reach_into_it() {
        let markup = Markup::parse("<b>one <i>two</i></b> three").unwrap();
        assert_eq!(markup.piece(2..6).html(), "<b>e <i>tw</i></b>");
        assert_eq!(markup.piece(7..13).html(), " three");
    }

    #[test]
    fn without_markup_a_link_says_where_it_leads() {
        let markup = Markup::parse(
            "<b>x</b> <a href=\"https://a.b/?c=1&amp;d\">Graph</a> · <a href=\"https://a.b\">https://a.b</a>.",
        )
        .unwrap();
        assert_eq!(markup.plain(), "x Graph (https://a.b/?c=1&d) · https://a.b.");
    }
}
