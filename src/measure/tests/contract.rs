//! What must hold for every result: the fields of the contract are there, and what is `null`
//! says why.

use super::*;

/// The fields that the contract names, by block.
const CONTRACT: [(&str, &str); 20] = [
    (
        "",
        "v device id attempt kind state tags records time mono_ns boot_id clock_sync model \
          engine board primary_rail rails timeline total idle load reps summary memory thermal \
          contention self warnings",
    ),
    ("/records", "tokens trace"),
    ("/model", "name sha256 arch quant params size_bytes"),
    (
        "/engine",
        "name revision cpu_features threads layers_offloaded devices",
    ),
    (
        "/board",
        "profile model kernel governor power_mode power_mode_reason",
    ),
    (
        "/rails/0",
        "name boundary boundary_basis contained_in excludes source simulated mode \
                  range_mv shunt_ohm calibration_date duty coverage windows rate_hz missed_deadlines",
    ),
    (
        "/timeline/input/0",
        "phase rep t0_ns t1_ns energy_j energy_j_u95 coverage reason",
    ),
    ("/total/input", "energy_j energy_j_u95"),
    ("/idle/before", "power_w power_w_u95 duration_s settled"),
    ("/idle/after", "power_w power_w_u95 duration_s settled"),
    ("/load", "duration_s energy_j energy_j_u95 cold"),
    (
        "/reps/0",
        "rep ttft_s output_tokens stop_reason resolved u_sys_rel prefill decode \
                 j_per_prompt_token j_per_prompt_token_u95 j_per_prompt_token_net \
                 j_per_output_token j_per_output_token_u95 j_per_output_token_net \
                 j_per_output_token_all_in j_per_output_token_all_in_u95 j_per_token_all \
                 j_per_token_all_u95 tpot_s tok_per_j mwh_per_token edp s_t",
    ),
    (
        "/reps/0/prefill",
        "tokens duration_s tok_s energy_j energy_j_u95 energy_net_j \
                         energy_net_j_u95",
    ),
    (
        "/reps/0/decode",
        "tokens duration_s tok_s energy_j energy_j_u95 energy_net_j \
                        energy_net_j_u95",
    ),
    ("/summary", "n decode_tok_s j_per_output_token"),
    ("/summary/j_per_output_token", "median mean sd u95"),
    (
        "/memory",
        "rss_peak_bytes anon_bytes file_bytes swap_bytes kv_bytes compute_bytes \
                 repack_bytes repack_reason",
    ),
    ("/thermal", "max_c throttled"),
    ("/contention", "foreign_cpu steal psi_some contended"),
    ("/self", "cpu_s sampler_power_w"),
];

#[test]
fn every_field_of_the_contract_is_there() {
    let (play, job) = generated();
    let made = made(&context(job), &play, &[play.recorded(real_rail("input"))]);
    let result = on_the_wire(made.result);
    for (block, fields) in CONTRACT {
        let block = result.pointer(block).expect(block);
        for field in fields.split_whitespace() {
            assert!(block.get(field).is_some(), "{field} is missing in {block}");
        }
    }
}

/// Facts that may be unknown; the rest of a result are figures.
const FACTS: [&str; 3] = ["params", "engine", "model"];
const FACT_FIELDS: [&str; 15] = [
    "power_mode",
    "power_mode_id",
    "power_mode_reason",
    "reason",
    "repack_reason",
    "rep",
    "contained_in",
    "mode",
    "range_mv",
    "shunt_ohm",
    "voltage_at",
    "feeds",
    "calibration_date",
    "duty",
    "text",
];

/// Asserts that each `null` has its reason beside it.
fn explained(value: &Value, path: &str) {
    let Value::Object(fields) = value else {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            explained(item, &format!("{path}/{index}"));
        }
        return;
    };
    // A statistic's `n` is why it has no spread.
    let statistic = fields.contains_key("median");
    for (name, field) in fields {
        let figure = name.strip_suffix("_u95").unwrap_or(name);
        let reasoned = fields.get("reason").is_some_and(Value::is_string)
            || fields
                .get("reasons")
                .is_some_and(|r| r.get(figure).is_some());
        let is_fact = FACT_FIELDS.contains(&name.as_str()) || statistic;
        assert!(
            !field.is_null() || reasoned || is_fact,
            "{path}/{name} is null for no reason: {value}"
        );
        if !field.is_null() && fields.get("reasons").is_some_and(|r| r.get(name).is_some()) {
            panic!("{path}/{name} has a reason to be null: {value}");
        }
        if !FACTS.contains(&name.as_str()) {
            explained(field, &format!("{path}/{name}"));
        }
    }
}

#[test]
fn whatever_is_missing_says_why() {
    let one_token = {
        let mut play = Play::begin();
        play.generate(1, 1, StopReason::Length);
        (
            play.end(Ending::Succeeded),
            job(|job| job["n_predict"] = json!(1)),
        )
    };
    let not_idle = {
        let (play, _) = cancelled();
        (
            play,
            job(|job| job["idle"] = json!({"before_s": 0, "after_s": 0})),
        )
    };
    let nothing_done = {
        let mut play = Play::begin();
        play.generate(1, 3, StopReason::Cancelled);
        play.observed.phases.retain(|span| span.rep.is_none());
        play.observed.tokens.clear();
        (play.end(Ending::Stopped(Stop::Timeout)), job(|_| ()))
    };
    let plays = [
        quality::perplexity(1),
        quality::perplexity(2),
        quality::choice(0),
        quality::choice(2),
        quality::cancelled("perplexity"),
        quality::cancelled("choice"),
        generated(),
        benched(16, 3),
        benched(16, 0),
        benched(0, 3),
        cancelled(),
        failed(),
        one_token,
        not_idle,
        nothing_done,
    ];
    for (play, job) in plays {
        let whole = play.recorded(real_rail("input"));
        let half = play.recorded_until(real_rail("input"), T0 + Span::from_millis(11_500));
        let none = play.recorded_until(rail("input"), MonoNs(0));
        for (rails, primary) in [
            (vec![whole], Some(0)),
            (vec![half], Some(0)),
            (vec![none], Some(0)),
            (vec![play.recorded(rail("input"))], None),
            (vec![], None),
            (vec![], Some(0)),
        ] {
            let context = Context {
                primary,
                model: None,
                ..context(job.clone())
            };
            let made = made(&context, &play, &rails);
            explained(&on_the_wire(made.result), "");
            for tokens in made.tokens {
                explained(&on_the_wire(tokens), "");
            }
        }
    }
}
