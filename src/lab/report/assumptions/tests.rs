use super::*;

const WHOLE: &str = r#"
[cost]
currency = "EUR"
electricity = { price_per_kwh = 0.36, source = "invented", date = "2026-11-22" }
supply = { efficiency = 0.9, source = "invented", date = "2026-11-22" }
life = { years = 4, source = "invented", date = "2026-11-22" }
utilisation = { share = 0.25, between_uses = "idle", source = "invented", date = "2026-11-22" }

[[cost.hardware]]
price = 100
source = "invented"
date = "2026-11-22"

[[cost.hardware]]
price = 500
boards = ["orin-03", "jetson-orin-nano"]
source = "invented"
date = "2026-11-22"

[[cost.api]]
name = "somebody"
input_per_million = 0.1
output_per_million = 0.4
source = "invented"
date = "2026-11-22"

[usability]
reading = { words_per_minute = 240, tokens_per_word = 1.5, source = "invented", date = "2026-11-22" }
ttft = { at_most_s = 2, source = "invented", date = "2026-11-22" }
battery = { wh = 50, source = "invented", date = "2026-11-22" }

[[reference]]
figure = "j_per_output_token"
model = "SmolLM2-135M"
device = "Invented board"
value = 41
unit = "mJ"
source = "invented"
basis = "second-hand"
"#;

fn refused(from: &str, to: &str) -> (Option<usize>, String) {
    let text = WHOLE.replacen(from, to, 1);
    assert_ne!(text, WHOLE, "{from}");
    let error = Assumptions::parse(&text).expect_err(to);
    (error.line, error.message)
}

#[test]
fn what_is_stated_is_read_in_the_figures_units() {
    let read = Assumptions::parse(WHOLE).unwrap();
    let cost = read.cost.unwrap();
    let price = |device, profile| cost.hardware_of(device, profile).map(|one| one.price);
    assert_eq!(price("pi5-01", "raspberrypi-5"), Some(100.0));
    assert_eq!(price("orin-03", "generic"), Some(500.0));
    assert_eq!(price("other", "jetson-orin-nano"), Some(500.0));
    let reading = read.usability.unwrap().reading.unwrap();
    assert_eq!(reading.tokens_per_s, 6.0);
    assert_eq!(reading.stated, "240 words/min of 1.5 tokens");
    assert!((read.references[0].value - 0.041).abs() < 1e-12);
    assert_eq!(read.references[0].stated, "41 mJ");
    assert_eq!(read.references[0].label(), "SmolLM2-135M, Invented board");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let (line, said) = refused("currency", "curency");
    assert_eq!(line, Some(3));
    assert!(said.contains("`currency`"), "{said}");
    let (line, said) = refused("price_per_kwh = 0.36", "price_per_kwh = -1");
    assert_eq!(line, Some(4));
    assert!(said.contains("-1 is not 0 or more"), "{said}");
    let (_, said) = refused("share = 0.25", "share = 25");
    assert!(said.contains("at most 1"), "{said}");
    let (_, said) = refused("date = \"2026-11-22\"", "date = \"last May\"");
    assert!(said.contains("is no day"), "{said}");
    let (_, said) = refused("source = \"invented\"", "source = \"\"");
    assert!(said.contains("says nothing"), "{said}");
    let (_, said) = refused(
        "boards = [\"orin-03\", \"jetson-orin-nano\"]",
        "boards = []",
    );
    assert!(said.contains("two prices"), "{said}");
    let (_, said) = refused("words_per_minute", "tokens_per_s");
    assert!(said.contains("either tokens_per_s"), "{said}");
    let (_, said) = refused("j_per_output_token", "j_per_outptu_token");
    assert!(said.contains("\"j_per_output_token\""), "{said}");
    let (_, said) = refused("unit = \"mJ\"", "unit = \"Wh\"");
    assert!(said.contains("its unit is J"), "{said}");
    let (_, said) = refused("second-hand", "guessed");
    assert!(said.contains("`second-hand`"), "{said}");
}

#[test]
fn a_source_is_no_option() {
    let (_, said) = refused(", source = \"invented\"", "");
    assert!(said.contains("source"), "{said}");
}

#[test]
fn studies_that_differ_state_nothing_and_a_file_has_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let studies = dir.path().join("studies");
    std::fs::create_dir(&studies).unwrap();
    let manifest = |name: &str, text: &str| {
        std::fs::write(studies.join(name), format!("name = \"{name}\"\n{text}")).unwrap();
    };
    manifest("a.toml", WHOLE);
    let paths = [dir.path().to_owned()];
    let one = Assumptions::gather(&paths, None).unwrap();
    assert!(one.cost.is_some() && one.notes.is_empty());

    manifest("b.toml", &WHOLE.replace("0.36", "0.40"));
    let two = Assumptions::gather(&paths, None).unwrap();
    assert!(two.cost.is_none() && two.usability.is_some());
    assert_eq!((two.notes.len(), two.references.len()), (1, 1));

    let file = dir.path().join("own.toml");
    std::fs::write(&file, WHOLE).unwrap();
    let told = Assumptions::gather(&paths, Some(&file)).unwrap();
    assert!(told.cost.is_some() && told.notes.is_empty());
    assert_eq!(told.references.len(), 1);

    std::fs::write(&file, "[cots]\n").unwrap();
    let error = Assumptions::gather(&paths, Some(&file)).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("own.toml, line 1") && said.contains("`cost`"),
        "{said}"
    );
}

/// The templates of the repository; tests/studies.rs reads the rest of them.
#[test]
fn the_templates_values_of_others_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("studies");
    let count = |name: &str| {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        let read = Assumptions::of_manifest(&text);
        let read = read.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let second_hand = |one: &&Reference| one.basis == Basis::SecondHand;
        let second_hand = read.references.iter().filter(second_hand).count();
        assert!(read.cost.is_none() && read.usability.is_none(), "{name}");
        (read.references.len(), second_hand)
    };
    assert_eq!(count("arxiv-2503.09114.toml"), (12, 0));
    assert_eq!(count("arxiv-2504.03360.toml"), (10, 10));
    assert_eq!(count("arxiv-2604.24785.toml"), (63, 0));
}
