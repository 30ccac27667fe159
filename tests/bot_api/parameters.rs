//! What a call brings along: from the query, JSON, a form, or a multipart body with files in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::faults::Refusal;

/// What a call brings along.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    fields: BTreeMap<String, Value>,
    files: BTreeMap<String, File>,
}

/// A file that came along.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

impl Parameters {
    /// Reads a call.
    pub(crate) fn read(query: &str, content_type: &str, body: &[u8]) -> Result<Parameters, Refusal> {
        let mut parameters = Parameters::default();
        parameters.read_form(query);
        let unreadable = || Refusal::bad("Bad Request: can't parse the request body");
        if content_type.starts_with("application/json") {
            if !body.is_empty() {
                let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
                    return Err(unreadable());
                };
                parameters.fields.extend(fields);
            }
        } else if let Some(boundary) = content_type
            .strip_prefix("multipart/form-data")
            .and_then(|rest| rest.split("boundary=").nth(1))
            .map(|boundary| boundary.trim_matches('"'))
        {
            parameters.read_multipart(boundary, body).ok_or_else(unreadable)?;
        } else {
            parameters.read_form(&String::from_utf8_lossy(body));
        }
        Ok(parameters)
    }

    fn read_form(&mut self, text: &str) {
        if let Ok(url) = reqwest::Url::parse(&format!("http://form/?{text}")) {
            let pairs = url.query_pairs();
            self.fields.extend(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))));
        }
    }

    fn read_multipart(&mut self, boundary: &str, body: &[u8]) -> Option<()> {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter has no line before it.
        let mut rest = body.strip_prefix(&delimiter[2..])?;
        while let Some(part) = rest.strip_prefix(b"\r\n") {
            let end = find(part, &delimiter)?;
            let head_end = find(part, b"\r\n\r\n")?;
            let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
            let content = &part[(head_end + 4).min(end)..end];
            let attribute = |name: &str| {
                let marker = format!("; {name}=\"");
                let begin = head.find(&marker)? + marker.len();
                head[begin..].split('"').next().map(str::to_owned)
            };
            let name = attribute("name")?;
            match attribute("filename") {
                Some(file_name) => {
                    self.files.insert(name, File { name: file_name, content: content.to_vec() });
                }
                None => {
                    self.fields.insert(name, Value::String(String::from_utf8_lossy(content).into_owned()));
                }
            }
            rest = &part[end + delimiter.len()..];
        }
        rest.starts_with(b"--").then_some(())
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.fields.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// A whole number, which forms have as text.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.fields.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Yes or no.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes"))
    }

    /// Something with parts, which forms have as JSON in a text.
    pub(crate) fn object(&self, name: &str) -> Option<Value> {
        match self.fields.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            Value::Null => None,
            other => Some(other.clone()),
        }
    }

    /// A file, sent under its own name or attached.
    pub(crate) fn file(&self, name: &str) -> Option<File> {
        if let Some(file) = self.files.get(name) {
            return Some(file.clone());
        }
        let text = self.text(name)?;
        self.files.get(text.strip_prefix("attach://")?).cloned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_ways_to_call_mean_the_same() {
        let json =
            br#"{"chat_id": -5, "text": "a & b", "disable_notification": true, "reply_parameters": {"message_id": 3}}"#;
        let form = b"chat_id=-5&text=a+%26%20b&disable_notification=true&reply_parameters=%7B%22message_id%22%3A3%7D";
        let multipart = b"--X\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n-5\r\n\
            --X\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\na & b\r\n\
            --X\r\nContent-Disposition: form-data; name=\"disable_notification\"\r\n\r\ntrue\r\n\
            --X\r\nContent-Disposition: form-data; name=\"document\"\r\n\r\nattach://file1\r\n\
            --X\r\nContent-Disposition: form-data; name=\"file1\"; filename=\"alerts.txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n\r\nlast\r\n\
            --X\r\nContent-Disposition: form-data; name=\"reply_parameters\"\r\n\r\n{\"message_id\":3}\r\n--X--\r\n";
        for (content_type, body) in [
            ("application/json", &json[..]),
            ("application/x-www-form-urlencoded", &form[..]),
            ("multipart/form-data; boundary=X", &multipart[..]),
        ] {
            let parameters = Parameters::read("", content_type, body).unwrap();
            assert_eq!(parameters.integer("chat_id"), Some(-5), "{content_type}");
            assert_eq!(parameters.text("text").as_deref(), Some("a & b"), "{content_type}");
            assert!(parameters.flag("disable_notification") && !parameters.flag("protect_content"));
            assert_eq!(parameters.object("reply_parameters").unwrap()["message_id"], 3, "{content_type}");
        }
        let parameters = Parameters::read("", "multipart/form-data; boundary=X", multipart).unwrap();
        let file = parameters.file("document").unwrap();
        assert_eq!((file.name.as_str(), file.content.as_slice()), ("alerts.txt", &b"line\r\n\r\nlast"[..]));
        assert!(Parameters::read("", "application/json", b"{").is_err());
        assert!(Parameters::read("", "multipart/form-data; boundary=X", b"--X\r\nhalf").is_err());
    }
}
