//! One HTTP request, judged: `GET` or `HEAD` of `/metrics`, and nothing else.
//!
//! Pure, so that every input can be tried: bytes in, what to answer out.

use httparse::Header;

/// Lines of a header; browsers send about fifteen.
const MOST_HEADERS: usize = 48;
const PATH: &str = "/metrics";

/// In which format a client wants the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' older text format, 0.0.4: for browsers and whoever states no wish.
    Text,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub format: Format,
    /// `HEAD`: the answer is its header alone.
    pub head_only: bool,
}

/// Why nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this is no HTTP/1 request")]
    Malformed,
    #[error("there is nothing but {PATH} here")]
    NotFound,
    #[error("metrics are read with GET or HEAD")]
    Method,
    #[error("the request's header is too large")]
    TooLarge,
}

impl Refusal {
    /// Status code and its usual phrase.
    pub fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::TooLarge => "431 Request Header Fields Too Large",
        }
    }
}

/// Where the header that `bytes` begin with ends, if it is whole. `from` of them were looked
/// at before.
pub fn end_of_header(bytes: &[u8], from: usize) -> Option<usize> {
    let begin = from.saturating_sub(2).min(bytes.len());
    // Lines may end in a line feed alone.
    let ends: [&[u8]; 2] = [b"\n\r\n", b"\n\n"];
    (begin..bytes.len()).find_map(|at| {
        let end = ends.iter().find(|end| bytes[at..].starts_with(end))?;
        Some(at + end.len())
    })
}

/// Reads a whole header.
pub fn parse(header: &[u8]) -> Result<Request, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(header) {
        Ok(status) if status.is_complete() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Ok(_) | Err(_) => return Err(Refusal::Malformed),
    }
    let path = request.path.ok_or(Refusal::Malformed)?;
    if path.split('?').next() != Some(PATH) {
        return Err(Refusal::NotFound);
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Refusal::Method),
    };
    Ok(Request {
        format: wanted(request.headers),
        head_only,
    })
}

/// OpenMetrics where it is named and no less welcome than plain text.
fn wanted(headers: &[Header<'_>]) -> Format {
    let accept = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("accept"));
    let (mut openmetrics, mut text) = (0.0, 0.0);
    for range in accept.flat_map(|header| header.value.split(|byte| *byte == b',')) {
        let range = String::from_utf8_lossy(range);
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality = quality(parts);
        if kind.eq_ignore_ascii_case("application/openmetrics-text") {
            openmetrics = quality.max(openmetrics);
        } else if kind.eq_ignore_ascii_case("text/plain") {
            text = quality.max(text);
        }
    }
    match openmetrics > 0.0 && openmetrics >= text {
        true => Format::OpenMetrics,
        false => Format::Text,
    }
}

/// How welcome a media range is, from 0 to 1; what can't be read is not.
fn quality<'p>(mut parameters: impl Iterator<Item = &'p str>) -> f64 {
    let q = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then_some(value.trim())
    });
    let number = q.map_or(Some(1.0), |value| value.parse().ok());
    number.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(line: &str, accept: &str) -> Result<Request, Refusal> {
        parse(format!("{line}\r\nHost: board:9187\r\n{accept}\r\n").as_bytes())
    }

    fn format(accept: &str) -> Format {
        let asked = asked("GET /metrics HTTP/1.1", &format!("Accept: {accept}\r\n"));
        asked.expect("a good request").format
    }

    #[test]
    fn only_metrics_are_here_and_only_to_be_read() {
        let format = Format::Text;
        for (line, answer) in [
            ("GET /metrics HTTP/1.1", Ok(false)),
            ("GET /metrics?name=a HTTP/1.0", Ok(false)),
            ("HEAD /metrics HTTP/1.1", Ok(true)),
            ("POST /metrics HTTP/1.1", Err(Refusal::Method)),
            ("get /metrics HTTP/1.1", Err(Refusal::Method)),
            ("GET / HTTP/1.1", Err(Refusal::NotFound)),
            ("GET /metrics/ HTTP/1.1", Err(Refusal::NotFound)),
            (
                "GET /metrics/../etc/passwd HTTP/1.1",
                Err(Refusal::NotFound),
            ),
            ("GET http://board/metrics HTTP/1.1", Err(Refusal::NotFound)),
            ("GET /metrics", Err(Refusal::Malformed)),
            ("GET /metrics HTTP/2.0", Err(Refusal::Malformed)),
            ("\u{0}\u{1}", Err(Refusal::Malformed)),
        ] {
            let answer = answer.map(|head_only| Request { format, head_only });
            assert_eq!(asked(line, ""), answer, "{line:?}");
        }
    }

    #[test]
    fn many_headers_are_too_many() {
        let headers = |n: usize| "a: b\r\n".repeat(n);
        let line = "GET /metrics HTTP/1.1";
        assert!(asked(line, &headers(MOST_HEADERS - 1)).is_ok());
        assert_eq!(asked(line, &headers(MOST_HEADERS)), Err(Refusal::TooLarge));
    }

    #[test]
    fn whoever_knows_openmetrics_gets_it() {
        // Prometheus 2.42 and 3, curl, a browser.
        let known = [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
             version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             text/plain;version=0.0.4;q=0.3",
            "Application/OpenMetrics-Text",
        ];
        for accept in known {
            assert_eq!(format(accept), Format::OpenMetrics, "{accept}");
        }
        let others = [
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain",
            "application/openmetrics-text;q=0.3,text/plain;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;q=NaN",
            ";;;,,,=q",
        ];
        for accept in others {
            assert_eq!(format(accept), Format::Text, "{accept}");
        }
        let none = asked("GET /metrics HTTP/1.1", "").expect("a good request");
        assert_eq!(none.format, Format::Text);
    }

    proptest! {
        #[test]
        fn a_header_ends_where_it_ends_however_it_comes(
            text in "[a\r\n]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..5)
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let (mut seen, mut found) = (0, None);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                found = found.or_else(|| end_of_header(&bytes[..cut], seen));
                seen = cut;
            }
            prop_assert_eq!(found, end_of_header(bytes, 0));
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            if let Some(end) = end_of_header(&bytes, 0) {
                prop_assert!(bytes[..end].ends_with(b"\n"));
            }
        }
    }
}
