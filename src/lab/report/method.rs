//! How the figures of a report were made, for a reader who has only the report.

use super::figure;

/// Term and what it means.
pub const METHOD: [(&str, &str); 9] = [
    (
        "Boundary",
        "Every joule is that of a rail, and a rail encloses what its boundary says: wall (with the \
         supply's losses), board-input, module, package, rail, or partial (a sum that fits none of \
         them). Rails that contain each other are never added, and joules of different boundaries \
         are never compared.",
    ),
    (
        "Clock",
        "Windows of the sensors and times of tokens carry the same monotonic clock of the board. \
         Times of day are labels.",
    ),
    (
        "Phases",
        "Prefill runs from the first evaluation of the prompt to the moment the first output token \
         is known, decode from there to the last one. The first output token belongs to prefill, so \
         n output tokens have n − 1 decode tokens. The KV cache is cleared before each repetition.",
    ),
    (
        "Baseline",
        "Net energy is gross energy less idle power: the mean power before and after the work, with \
         the model loaded and nothing computing, joined by a straight line in time. It is withheld \
         (below-noise) where it is less than three of its standard uncertainties. Loading has no net \
         energy, since no model is loaded before it.",
    ),
    (
        "Uncertainty",
        "± is an expanded uncertainty (u95): twice the combined standard uncertainty of shunt, gain, \
         offset, time base, quantisation, noise, and of the windows that an interval's ends cut. \
         joulectl explain takes any figure of a result apart.",
    ),
    (
        "Over repetitions",
        "A figure of one run is the mean over the repetitions that ran to their end. Its ± is \
         Student's t on sd ÷ √n, joined in quadrature with twice the systematic standard uncertainty, \
         which is the same error in every repetition and is not divided by n. Where one repetition \
         lacks the figure, the run has none, and says why.",
    ),
    (
        "Over runs",
        "A configuration is a set of runs that agree in everything listed in the table of \
         configurations and above it. With one run its figure is that run's. With several, each run \
         counts as one value, whatever the number of its repetitions: the figure is their mean, its \
         ± Student's t on their sd ÷ √runs, joined with twice the mean of their systematic standard \
         uncertainties, which add up linearly. Speeds, times, bytes and degrees have no systematic \
         part here.",
    ),
    (
        "Left out",
        "Runs that did not succeed, in which other programs used the CPU (contended), whose board \
         was throttled, or whose governor, cap or power mode changed meanwhile, count in no mean; they are named with their marks. A configuration with no \
         other run is shown with †, without taking part in findings and fronts.",
    ),
    (
        "Missing",
        "A dash is a figure that was not measured, with its reason. It is never zero, and never \
         enters a mean.",
    ),
];

/// Each figure's heading, name in the CSV, and meaning.
pub fn definitions() -> Vec<(&'static str, &'static str, &'static str)> {
    figure::all()
        .map(|figure| (figure.heading, figure.name, figure.meaning))
        .collect()
}
