//! The two text formats: which one a request wants, and the older one made from the newer.
//!
//! prometheus-client writes OpenMetrics alone. Text 0.0.4 is what `promtool check metrics`, node_exporter's
//! textfile collector and people in a browser read; Prometheus itself asks for OpenMetrics first.

use std::fmt;

use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

impl Format {
    /// The content type to answer with. Prometheus 3 refuses a wrong one.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format that an `Accept` header prefers; text where it has no preference.
    pub fn of_accept(accept: Option<&str>) -> Format {
        let mut openmetrics: f32 = 0.0;
        let mut text: f32 = 0.0;
        for range in accept.unwrap_or("*/*").split(',') {
            let mut parameters = range.split(';').map(str::trim);
            let media_type = parameters.next().unwrap_or_default();
            let mut quality = 1.0;
            let mut version = None;
            for parameter in parameters {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim_matches('"')),
                    _ => {}
                }
            }
            match (media_type, version) {
                ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                    openmetrics = openmetrics.max(quality)
                }
                ("text/plain", None | Some("0.0.4")) | ("*/*" | "text/*", _) => text = text.max(quality),
                _ => {}
            }
        }
        if openmetrics > text { Format::OpenMetrics } else { Format::Text }
    }
}

/// What is registered, in a format; `size` is about how many bytes that will be.
pub fn encode(registry: &Registry, format: Format, size: usize) -> Result<String, fmt::Error> {
    match format {
        Format::OpenMetrics => {
            let mut text = String::with_capacity(size);
            prometheus_client::encoding::text::encode(&mut text, registry)?;
            Ok(text)
        }
        Format::Text => {
            let mut writer = TextWriter::with_capacity(size);
            prometheus_client::encoding::text::encode(&mut writer, registry)?;
            Ok(writer.into_text())
        }
    }
}

/// Takes OpenMetrics text, in pieces as they come, and makes text 0.0.4 of it, so that a large exposition is never there
/// twice.
///
/// The older format has no units, no end mark and no `info`, and its family names are those of the samples.
#[derive(Debug, Default)]
pub struct TextWriter {
    text: String,
    /// What the line is that is being written.
    line: Line,
    /// The line about a family that is being written, without its first mark.
    about: String,
    /// The last help, which stands before the type that its name depends on.
    help: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    #[default]
    NotBegun,
    /// About a family: it begins with `#`, which no sample does.
    AboutFamily,
    Sample,
}

impl TextWriter {
    /// A writer with room for this many bytes.
    pub fn with_capacity(bytes: usize) -> TextWriter {
        TextWriter { text: String::with_capacity(bytes), ..TextWriter::default() }
    }

    /// The text that was made.
    pub fn into_text(self) -> String {
        self.text
    }

    fn end_line_about_family(&mut self) {
        let about = std::mem::take(&mut self.about);
        if let Some((_, help)) = about.strip_prefix("# HELP ").and_then(|named| named.split_once(' ')) {
            self.help.clear();
            self.help.push_str(help);
        } else if let Some((name, kind)) = about.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            let help = std::mem::take(&mut self.help);
            if !help.is_empty() {
                push_line(&mut self.text, &["# HELP ", name, suffix, " ", &help]);
            }
            push_line(&mut self.text, &["# TYPE ", name, suffix, " ", kind]);
        } else if !about.starts_with("# UNIT ") && about != "# EOF" {
            push_line(&mut self.text, &[&about]);
        }
    }
}

impl fmt::Write for TextWriter {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for part in piece.split_inclusive('\n') {
            if self.line == Line::NotBegun {
                self.line = if part.starts_with('#') { Line::AboutFamily } else { Line::Sample };
            }
            let is_whole = part.ends_with('\n');
            match self.line {
                Line::AboutFamily => {
                    self.about.push_str(part.trim_end_matches('\n'));
                    if is_whole {
                        self.end_line_about_family();
                    }
                }
                Line::Sample | Line::NotBegun => self.text.push_str(part),
            }
            if is_whole {
                self.line = Line::NotBegun;
            }
        }
        Ok(())
    }
}

fn push_line(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn what_prometheus_and_browsers_ask_for() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for (accept, format) in [
            (Some(prometheus_2), Format::OpenMetrics),
            (Some(prometheus_3), Format::OpenMetrics),
            (Some(browser), Format::Text),
            (Some("*/*"), Format::Text),
            (None, Format::Text),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("application/openmetrics-text; version=1.0.0; q=0.3, text/plain; q=0.7"), Format::Text),
            (Some("application/openmetrics-text; version=9.0.0"), Format::Text),
            (Some("application/openmetrics-text;q=nonsense"), Format::Text),
            (Some(""), Format::Text),
        ] {
            assert_eq!(Format::of_accept(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_has_the_names_of_the_samples() {
        let openmetrics = "\
# HELP a_restarts Restarts
# TYPE a_restarts counter
a_restarts_total{x=\"# EOF\\n\"} 3
# HELP a_build Build
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_age_seconds Age
# TYPE a_age_seconds gauge
# UNIT a_age_seconds seconds
a_age_seconds 1.5
# EOF
";
        let text = "\
# HELP a_restarts_total Restarts
# TYPE a_restarts_total counter
a_restarts_total{x=\"# EOF\\n\"} 3
# HELP a_build_info Build
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_age_seconds Age
# TYPE a_age_seconds gauge
a_age_seconds 1.5
";
        for length in [1, 2, 7, openmetrics.len()] {
            let mut writer = TextWriter::default();
            for piece in openmetrics.as_bytes().chunks(length) {
                writer.write_str(str::from_utf8(piece).unwrap()).unwrap();
            }
            assert_eq!(writer.into_text(), text, "in pieces of {length}");
        }
    }
}
