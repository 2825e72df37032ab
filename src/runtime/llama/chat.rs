//! A conversation as the model's own chat template renders it, with what templates written
//! for Jinja2 and Hugging Face's transformers expect.

use super::Failure;
use crate::workload::Message;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, State, context};

/// Steps of the template engine: a template that loops without end is stopped.
const FUEL: u64 = 5_000_000;

/// The text to tokenise, ending with the beginning of the assistant's turn.
pub fn render(
    template: &str,
    messages: &[Message],
    bos_token: &str,
    eos_token: &str,
) -> Result<String, Failure> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("the default delimiters are valid");
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    let turns: Vec<Value> = messages
        .iter()
        .map(|message| context! { role => message.role.as_str(), content => message.content.as_str() })
        .collect();
    let variables = context! {
        messages => turns,
        bos_token,
        eos_token,
        add_generation_prompt => true,
        tools => (),
        documents => (),
    };
    environment
        .render_str(template, variables)
        .map_err(|error| {
            Failure::new(
                "template",
                format!("the model's chat template does not take these messages: {error}; send a prompt instead"),
            )
        })
}

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// Templates put today's date into the prompt with this. The wall clock is only a label
/// there, too.
fn strftime_now(format: String) -> Result<String, Error> {
    let now = crate::clock::wall().to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(&format, &now)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

/// Unlike in HTML, nothing but JSON's own characters is escaped.
fn tojson(
    _: &State,
    value: &Value,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let escaped = minijinja::filters::tojson(value, indent, options)?;
    let text = escaped.as_str().unwrap_or_default();
    Ok(Value::from_safe_string(without_html_escapes(text)))
}

fn without_html_escapes(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (character, length) = match escape.get(..6) {
            Some("\\u003c") => ("<", 6),
            Some("\\u003e") => (">", 6),
            Some("\\u0026") => ("&", 6),
            Some("\\u0027") => ("'", 6),
            // A backslash and what it escapes, which is ASCII in JSON.
            _ => (escape.get(..2).unwrap_or(escape), 2.min(escape.len())),
        };
        plain.push_str(character);
        rest = &escape[length..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(turns: &[(&str, &str)]) -> Vec<Message> {
        turns
            .iter()
            .map(|(role, content)| Message {
                role: (*role).to_owned(),
                content: (*content).to_owned(),
            })
            .collect()
    }

    fn rendered(template: &str) -> Result<String, Failure> {
        render(template, &turns(&[("user", " Why? ")]), "<s>", "</s>")
    }

    #[test]
    fn chat_ml_with_a_default_system_prompt() {
        // The shape of SmolLM2's template.
        let template = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
        assert_eq!(
            rendered(template).unwrap(),
            "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\n Why? <|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn what_jinja2_templates_use_works() {
        for (template, text) in [
            (
                "{{ bos_token }}{{ messages[0].content.strip() }}",
                "<s>Why?",
            ),
            (
                "{% if tools is not none %}x{% endif %}{% if not tools %}y{% endif %}",
                "y",
            ),
            (
                "{%- set ns = namespace(n=1) -%}{% for m in messages %}{% set ns.n = 2 %}{% break %}{% endfor %}{{ ns.n }}",
                "2",
            ),
            (
                "{% if messages[0].get('name') %}x{% else %}{{ messages[0]['role'].upper() }}{% endif %}",
                "USER",
            ),
            (
                "{{ {'a': '<b> \\'c\\' & \\\\u003c'} | tojson }}",
                r#"{"a": "<b> 'c' & \\u003c"}"#,
            ),
        ] {
            assert_eq!(rendered(template).unwrap(), text, "{template}");
        }
        assert_eq!(rendered("{{ strftime_now('%Y') }}").unwrap().len(), 4);
    }

    #[test]
    fn a_refusal_of_the_template_is_told() {
        let failure = rendered("{{ raise_exception('roles must alternate') }}").unwrap_err();
        assert_eq!(failure.code, "template");
        assert!(
            failure.message.contains("roles must alternate"),
            "{failure}"
        );
        assert!(rendered("{% for").is_err());
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let endless =
            "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}";
        assert_eq!(rendered(endless).unwrap_err().code, "template");
    }
}
