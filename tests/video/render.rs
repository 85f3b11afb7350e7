//! Clips that the tests render.

/// The size of a rendered frame.
pub(super) const WIDTH: usize = 96;
pub(super) const HEIGHT: usize = 64;

/// A clip in Y4M at this rate: each frame tells its number by how bright it is, and a square in its
/// upper left corner tells which way is up.
pub(super) fn numbered(count: usize, rate: &str) -> Vec<u8> {
    let luma = |number: usize, x: usize, y: usize| {
        if x < WIDTH / 4 && y < HEIGHT / 4 { 235 } else { 32 + (number * 6) as u8 }
    };
    y4m(count, rate, luma)
}

/// The number that a frame tells.
pub(super) fn number_of(grey: u8) -> usize {
    // Samples of 16 to 235 were stretched to 0 to 255.
    let luma = f64::from(grey) * 219.0 / 255.0 + 16.0;
    ((luma - 32.0) / 6.0).round().max(0.0) as usize
}

pub(super) fn y4m(count: usize, rate: &str, luma: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate} Ip A1:1 C420jpeg\n").into_bytes();
    for number in 0..count {
        bytes.extend(b"FRAME\n");
        for y in 0..HEIGHT {
            bytes.extend((0..WIDTH).map(|x| luma(number, x, y)));
        }
        bytes.extend([128; WIDTH * HEIGHT / 2]);
    }
    bytes
}
