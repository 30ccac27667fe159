//! Whether a record tells of a rate limit.
//!
//! Hermes has no word of its own for that: it logs what the provider's or the platform's library says. What it writes
//! (0.19):
//!
//! * `API call failed (attempt 1/3) error_type=RateLimitError … summary=HTTP 429: …`, and after the last attempt
//!   `API call failed after 3 retries. HTTP 429: … | provider=…`; the same status in other spellings where a library's error
//!   is passed on: `Error code: 429 - {…}`, `status=429`, `http_status=429`, `'429 Too Many Requests'`, `HTTP/1.1 429`;
//! * `Primary provider rate-limited (429): …`, `rate limited for …; backing off`, `Signal: rate-limited on batch …`,
//!   `Rate limit hit 3 times`, `sampling rate limit exceeded`, `GitHub API rate limit exhausted`;
//! * of Telegram, whose 429 goes by that name: `Telegram flood control, waiting …`.
//!
//! Only warnings and errors are asked: what Hermes does about a rate limit it notes as information, and there messages of
//! people stand too. A 429 that no word calls a status is a number like any other.

/// What is said of a limit that was hit; with `-` and `_` as blanks.
const PHRASES: [&str; 14] = [
    "rate limited",
    "ratelimited",
    "ratelimiterror",
    "ratelimitexceeded",
    "rate limit error",
    "rate limit exceeded",
    "rate limit exhausted",
    "rate limit reached",
    "rate limit hit",
    "rate limit retries exhausted",
    "rate limit bucket",
    "too many requests",
    "flood control",
    "flood wait",
];

/// The words that a status of HTTP follows.
const STATUS: [&str; 6] = ["http", "http/1.0", "http/1.1", "http/2", "status", "code"];

/// What may stand between such a word and the status.
const BETWEEN: [char; 6] = [' ', ':', '=', '(', '"', '\''];

/// Whether a line of a warning or an error tells of a rate limit.
pub(super) fn is_told_of_in(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).to_ascii_lowercase().replace(['-', '_'], " ");
    PHRASES.iter().any(|phrase| text.contains(phrase)) || has_status(&text)
}

fn has_status(text: &str) -> bool {
    text.match_indices("429").any(|(place, number)| {
        let (before, after) = (text.get(..place).unwrap_or(""), text.get(place + number.len()..).unwrap_or(""));
        let named = before.trim_end_matches(BETWEEN);
        let is_named = named.len() < before.len()
            && STATUS.iter().any(|word| {
                named.strip_suffix(word).is_some_and(|rest| !rest.ends_with(|last: char| last.is_ascii_alphanumeric()))
            });
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric())
            || after.strip_prefix(['.', ',']).is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()));
        is_named && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hermes_writes_of_rate_limits_tells_of_one() {
        for line in [
            "API call failed (attempt 1/3) error_type=RateLimitError thread=MainThread summary=Slow down",
            "API call failed (attempt 1/3) error_type=APIStatusError provider=x summary=HTTP 429: Slow down",
            "API call failed after 3 retries. HTTP 429: capacity | provider=openrouter model=x msgs=12 tokens=~4,290",
            "Primary provider rate-limited (429): weekly cap — trying fallback",
            "[Telegram] Telegram flood control on send (attempt 1/3), retrying in 12.0s: Flood control exceeded",
            "[weixin] rate limited for ab12; backing off 3.0s before retry",
            "Signal: rate-limit retries exhausted on batch 1/2 (3 attachments lost, server retry_after=4s)",
            "[GoogleChat] Rate limit hit 3 times on chat; throttling",
            "GitHub API rate limit exhausted (unauthenticated: 60 req/hr).",
            "openai.RateLimitError: Error code: 429 - {'error': {'message': 'x', 'code': 429}}",
            "httpx.HTTPStatusError: Client error '429 Too Many Requests' for url 'https://example'",
            "Stream dropped on attempt 1/3 — retrying. error_type=X http_status=429 bytes=0",
            "[whatsapp_cloud] send rejected (status=429): busy",
            "xAI web search HTTP 429: busy",
            "ws closed: HTTP/1.1 429",
            "body {\"status\":429}",
            "rate_limit_exceeded",
        ] {
            assert!(is_told_of_in(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn another_429_and_other_limits_do_not() {
        for line in [
            "listening on 127.0.0.1:429",
            "port 429 is taken",
            "took 429 ms",
            "API call failed after 429 retries. HTTP 500: oops",
            "HTTP 4290",
            "HTTP 429.5 kB",
            "status: 1429",
            "barcode 429",
            "https://example/http/429x",
            "message 429 of 1,429",
            "Failed to write rate limit state: disk full",
            "context limit reached",
            "Request timed out. rate limits are unknown",
            "",
        ] {
            assert!(!is_told_of_in(line.as_bytes()), "{line}");
        }
        assert!(!is_told_of_in(b"\xff\xfe429\xff"));
    }
}
