//! The colours of the pictures, for eyes that see fewer of them. Simulation of colour vision
//! after Machado, Oliveira and Fernandes (2009), severity 1; distances in CIE L*a*b* (1976, D65).

const STYLE: &str = include_str!("../../src/lab/plot/style.css");
/// Twice what untrained eyes notice side by side would be 5; marks lie apart and are small.
const APART: f64 = 20.0;
/// WCAG 2.2, 1.4.11, for what a picture needs to be understood.
const CONTRAST: f64 = 3.0;

const VISIONS: [(&str, [[f64; 3]; 3]); 4] = [
    (
        "every colour",
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ),
    (
        "no red",
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    ),
    (
        "no green",
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    ),
    (
        "no blue",
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ),
];

type Linear = [f64; 3];

fn linear(hex: &str) -> Linear {
    [1, 3, 5].map(|at| {
        let value = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let share = f64::from(value) / 255.0;
        match share <= 0.04045 {
            true => share / 12.92,
            false => ((share + 0.055) / 1.055).powf(2.4),
        }
    })
}

fn seen(colour: Linear, vision: &[[f64; 3]; 3]) -> Linear {
    vision.map(|row| {
        let sum: f64 = row
            .iter()
            .zip(colour)
            .map(|(weight, part)| weight * part)
            .sum();
        sum.clamp(0.0, 1.0)
    })
}

fn lightness([red, green, blue]: Linear) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn lab(colour: Linear) -> [f64; 3] {
    let [red, green, blue] = colour;
    let x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505;
    let y = lightness(colour);
    let z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089;
    let [x, y, z] = [x, y, z].map(|t: f64| match t > 0.008856 {
        true => t.cbrt(),
        false => 7.787 * t + 16.0 / 116.0,
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The value of a custom property: in light, and in the dark.
fn both(property: &str) -> (String, String) {
    let name = format!("--{property}:#");
    let mut found = STYLE.match_indices(&name).map(|(at, _)| {
        let from = at + name.len() - 1;
        let digits: String = STYLE[from + 1..]
            .chars()
            .take_while(char::is_ascii_hexdigit)
            .collect();
        match digits.len() {
            3 => format!(
                "#{}",
                digits
                    .chars()
                    .flat_map(|digit| [digit, digit])
                    .collect::<String>()
            ),
            _ => format!("#{digits}"),
        }
    });
    (found.next().unwrap(), found.next().unwrap())
}

#[test]
fn series_are_told_apart_by_everybody_and_stand_out_from_the_paper() {
    let series: Vec<(String, String)> = (1..=6).map(|n| both(&format!("s{n}"))).collect();
    let (light, dark): (Vec<String>, Vec<String>) = series.into_iter().unzip();
    let (day, night) = both("paper");
    for (colours, paper) in [(light, day), (dark, night)] {
        for (at, colour) in colours.iter().enumerate() {
            let (a, b) = (lightness(linear(colour)), lightness(linear(&paper)));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= CONTRAST, "{colour} on {paper}: {contrast:.2}");
            for other in &colours[at + 1..] {
                for (name, vision) in &VISIONS {
                    let of = |colour: &str| lab(seen(linear(colour), vision));
                    let squares = of(colour)
                        .into_iter()
                        .zip(of(other))
                        .map(|(a, b)| (a - b).powi(2));
                    let apart = squares.sum::<f64>().sqrt();
                    assert!(apart >= APART, "{colour} and {other}, {name}: {apart:.1}");
                }
            }
        }
    }
}
