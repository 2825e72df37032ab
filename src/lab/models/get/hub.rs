//! What Hugging Face says of a file before it is fetched: the commit that a revision stands for,
//! and, of files in large-file storage, as models are, size and SHA-256.
//!
//! `HEAD /OWNER/NAME/resolve/REVISION/FILE` answers with a redirect to the storage, which is not
//! followed, and with `X-Repo-Commit`, `X-Linked-Size` and `X-Linked-Etag`, as huggingface_hub's
//! `get_hf_file_metadata` reads them. A repository that was renamed answers with a redirect
//! within the hub first.

use super::source::HubFile;
use super::token::Token;
use super::web::Web;
use crate::lab::{LabError, hashed};
use ureq::http::{HeaderMap, StatusCode, header};
use url::Url;

/// `HF_ENDPOINT` where that is set: a mirror, or a hub of one's own.
const ENDPOINT: &str = "https://huggingface.co";
const MOST_MOVES: usize = 5;

pub struct Hub {
    endpoint: Url,
    token: Option<Token>,
}

/// What the hub says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Whose word it is: a mirror's is not Hugging Face's.
    pub by: String,
    /// To fetch it from; at the commit, so that a fetch goes on with the same file.
    pub url: Url,
    pub commit: Option<String>,
    pub sha256: Option<String>,
    pub size_bytes: Option<u64>,
}

impl Hub {
    pub fn new(token: Option<Token>) -> Result<Self, LabError> {
        let named = std::env::var("HF_ENDPOINT")
            .ok()
            .filter(|name| !name.is_empty());
        let text = named.as_deref().unwrap_or(ENDPOINT);
        let endpoint = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let endpoint = endpoint.ok_or_else(|| {
            LabError::Usage("HF_ENDPOINT is no address: write https://HOST".to_owned())
        })?;
        Ok(Self { endpoint, token })
    }

    fn address(&self, file: &HubFile) -> Url {
        let mut url = self.endpoint.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend(file.repository.split('/'))
            .push("resolve")
            // A slash within a branch's name is a part of it.
            .push(&file.revision)
            .extend(file.file.split('/'));
        url
    }

    /// The token, where `url` is the hub's and nobody can listen.
    pub fn token_for(&self, url: &Url) -> Option<&Token> {
        let same = url.origin() == self.endpoint.origin() && url.scheme() == "https";
        self.token.as_ref().filter(|_| same)
    }

    pub fn ask(&self, file: &HubFile, web: &Web) -> Result<Stated, LabError> {
        let mut url = self.address(file);
        for _ in 0..MOST_MOVES {
            let answer = web.head(&url, self.token_for(&url))?;
            let headers = answer.headers();
            let is_known =
                headers.contains_key("x-repo-commit") || headers.contains_key("x-linked-etag");
            let status = answer.status();
            if status.is_success() || (status.is_redirection() && is_known) {
                return Ok(stated(url, headers, status));
            }
            if !status.is_redirection() {
                return Err(self.refusal(file, status, headers));
            }
            let to = text(headers, header::LOCATION.as_str());
            let to = to.and_then(|to| url.join(to).ok());
            url = to.ok_or_else(|| self.refusal(file, status, headers))?;
        }
        Err(LabError::Failed(format!(
            "{} redirects again and again",
            self.host()
        )))
    }

    pub fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    /// What an answer that is none means, and what to do.
    fn refusal(&self, file: &HubFile, status: StatusCode, headers: &HeaderMap) -> LabError {
        let HubFile {
            repository,
            file,
            revision,
        } = file;
        let host = self.host();
        LabError::Failed(match text(headers, "x-error-code").unwrap_or_default() {
            "EntryNotFound" => format!(
                "{repository} has no file {file} at {revision}; look at its files on {host}"
            ),
            "RevisionNotFound" => format!("{repository} has no branch, tag or commit {revision}"),
            "GatedRepo" => format!(
                "{repository} is gated: accept its terms on {host}, and give the account's token in \
                 HF_TOKEN or with --token-file"
            ),
            _ if matches!(status.as_u16(), 401 | 403) => {
                let token = match &self.token {
                    Some(_) => "this token may not read it",
                    None => "it is private: give a token in HF_TOKEN or with --token-file",
                };
                format!("{host} has no repository {repository}, or {token}")
            }
            _ if status == StatusCode::NOT_FOUND => {
                format!("{host} has no {repository}, or no {file} in it at {revision}")
            }
            _ => format!("{host} answers {status} for {repository}"),
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn stated(url: Url, headers: &HeaderMap, status: StatusCode) -> Stated {
    let commit = text(headers, "x-repo-commit")
        .filter(|commit| commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    // Of a small file the tag is git's own hash, which is shorter.
    let tag = text(headers, "x-linked-etag").or_else(|| text(headers, header::ETAG.as_str()));
    let sha256 = tag.and_then(|tag| hashed::digits(tag.trim_start_matches("W/").trim_matches('"')));
    let size = text(headers, "x-linked-size").or_else(|| {
        // A redirect's own length is that of its text.
        let own = status
            .is_success()
            .then(|| text(headers, header::CONTENT_LENGTH.as_str()));
        own.flatten()
    });
    Stated {
        by: name(&url),
        url: commit.map_or_else(|| url.clone(), |commit| at(&url, commit)),
        commit: commit.map(str::to_owned),
        sha256,
        size_bytes: size.and_then(|size| size.parse().ok()),
    }
}

/// Whom an answer from there is from. Without TLS it may be from anybody on the way.
fn name(url: &Url) -> String {
    match Url::parse(ENDPOINT).is_ok_and(|own| own.origin() == url.origin()) {
        true => "Hugging Face".to_owned(),
        false => url.host_str().unwrap_or("the hub").to_owned(),
    }
}

/// The same file at a commit: what follows `resolve` is the revision.
fn at(url: &Url, commit: &str) -> Url {
    let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    let Some(place) = segments.iter().position(|segment| *segment == "resolve") else {
        return url.clone();
    };
    let mut segments: Vec<String> = segments.iter().map(|&segment| segment.to_owned()).collect();
    if let Some(revision) = segments.get_mut(place + 1) {
        *revision = commit.to_owned();
    }
    let mut pinned = url.clone();
    // They are encoded already.
    pinned.set_path(&segments.join("/"));
    pinned
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderName;

    fn hub() -> Hub {
        Hub {
            endpoint: Url::parse(ENDPOINT).unwrap(),
            token: None,
        }
    }

    fn file(revision: &str) -> HubFile {
        HubFile {
            repository: "a/b".to_owned(),
            file: "sub/my model.gguf".to_owned(),
            revision: revision.to_owned(),
        }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn addresses_are_those_of_the_hub() {
        let main = hub().address(&file("main"));
        assert_eq!(
            main.as_str(),
            "https://huggingface.co/a/b/resolve/main/sub/my%20model.gguf"
        );
        let branch = hub().address(&file("refs/pr/1"));
        assert!(branch.path().starts_with("/a/b/resolve/refs%2Fpr%2F1/sub/"));
        let commit = "0123456789012345678901234567890123456789";
        assert_eq!(
            at(&branch, commit).path(),
            format!("/a/b/resolve/{commit}/sub/my%20model.gguf")
        );
    }

    #[test]
    fn a_file_in_large_storage_has_its_hash_and_size_and_another_has_not() {
        let sha256 = "ab".repeat(32);
        let commit = "cd".repeat(20);
        let large = headers(&[
            ("x-repo-commit", &commit),
            ("x-linked-etag", &format!("\"{sha256}\"")),
            ("x-linked-size", "98362432"),
            ("etag", "\"other\""),
            ("content-length", "1341"),
        ]);
        let url = hub().address(&file("main"));
        let said = stated(url.clone(), &large, StatusCode::FOUND);
        assert_eq!(said.sha256.as_deref(), Some(sha256.as_str()));
        assert_eq!(
            (said.size_bytes, said.commit.as_deref()),
            (Some(98_362_432), Some(commit.as_str()))
        );
        assert!(said.url.path().contains(&commit));
        let small = headers(&[
            ("x-repo-commit", &commit),
            ("etag", &format!("\"{}\"", "ef".repeat(20))),
            ("content-length", "700"),
        ]);
        let said = stated(url.clone(), &small, StatusCode::OK);
        assert_eq!((said.sha256, said.size_bytes), (None, Some(700)));
        let nothing = stated(
            url.clone(),
            &headers(&[("content-length", "9")]),
            StatusCode::FOUND,
        );
        assert_eq!((nothing.size_bytes, nothing.url), (None, url));
    }

    #[test]
    fn hugging_face_has_said_what_its_own_server_has() {
        let by = |url: &str| {
            let said = stated(Url::parse(url).unwrap(), &HeaderMap::new(), StatusCode::OK);
            said.by
        };
        assert_eq!(
            by("https://huggingface.co/a/b/resolve/main/m.gguf"),
            "Hugging Face"
        );
        assert_eq!(
            by("https://hf-mirror.lab/huggingface.co/m.gguf"),
            "hf-mirror.lab"
        );
        assert_eq!(
            by("https://huggingface.co.lab/m.gguf"),
            "huggingface.co.lab"
        );
        assert_eq!(by("http://huggingface.co/m.gguf"), "huggingface.co");
        assert_eq!(by("https://huggingface.co:444/m.gguf"), "huggingface.co");
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refusal = |code: &str, status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let fields = headers(&[("x-error-code", code)]);
            hub().refusal(&file("main"), status, &fields).to_string()
        };
        assert!(refusal("GatedRepo", 403).contains("accept its terms"));
        assert!(refusal("EntryNotFound", 404).contains("no file sub/my model.gguf"));
        assert!(refusal("RevisionNotFound", 404).contains("branch, tag or commit main"));
        assert!(refusal("RepoNotFound", 401).contains("HF_TOKEN"));
        assert!(refusal("", 404).contains("no a/b"));
        assert!(refusal("", 503).contains("503"));
    }

    #[test]
    fn the_token_stays_with_the_hub_and_off_open_lines() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hf_x").unwrap();
        let token = Token::find(Some(&dir.path().join("token"))).unwrap();
        let at = |endpoint: &str| Hub {
            endpoint: Url::parse(endpoint).unwrap(),
            token: token.clone(),
        };
        let for_url = |hub: &Hub, url: &str| hub.token_for(&Url::parse(url).unwrap()).is_some();
        let own = at("https://hub.lab");
        assert!(for_url(&own, "https://hub.lab/a"));
        assert!(!for_url(&own, "https://cdn.lab/a"));
        assert!(!for_url(&own, "https://hub.lab:444/a"));
        assert!(!for_url(&at("http://hub.lab"), "http://hub.lab/a"));
    }
}
