//! QR codes, as a picture or for a terminal.

use std::fmt::{self, Write as _};

use qrcode::{Color, EcLevel};

use crate::error::{Error, Result};

/// Light modules that must surround the code (ISO/IEC 18004, section 9.1).
const QUIET: usize = 4;

/// A QR code of a text: a pairing payload, a link, a recovery kit. As secret as its text.
pub struct QrCode {
    /// Modules on a side, without the quiet zone.
    size: usize,
    /// Row by row; true is dark.
    modules: Vec<bool>,
}

impl QrCode {
    /// The code of a text, with the greatest error correction of L and M that fits into it.
    ///
    /// # Errors
    ///
    /// `LIMIT` for more than the 2,953 bytes that a QR code can hold.
    pub fn new(text: &str) -> Result<Self> {
        let code = qrcode::QrCode::with_error_correction_level(text, EcLevel::M)
            .or_else(|_| qrcode::QrCode::with_error_correction_level(text, EcLevel::L))
            .map_err(|_| Error::Limit {
                what: "the text of a QR code",
                actual: text.len() as u64,
                limit: 2953,
            })?;
        let modules = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
        Ok(Self { size: code.width(), modules })
    }

    /// Modules on a side, the quiet zone included.
    pub fn size(&self) -> usize {
        self.size + 2 * QUIET
    }

    /// Whether the module in that column and row, counted with the quiet zone, is dark.
    pub fn is_dark(&self, column: usize, row: usize) -> bool {
        match (column.checked_sub(QUIET), row.checked_sub(QUIET)) {
            (Some(x), Some(y)) if x < self.size && y < self.size => self.modules[y * self.size + x],
            _ => false,
        }
    }

    /// The code as an SVG picture, dark on white, one unit a module; it scales to any size.
    pub fn to_svg(&self) -> String {
        let size = self.size();
        let mut path = String::new();
        for row in 0..size {
            let mut column = 0;
            while column < size {
                let run = (column..size).take_while(|column| self.is_dark(*column, row)).count();
                if run > 0 {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "M{column} {row}h{run}v1h-{run}z");
                }
                column += run.max(1);
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/><path d=\"{path}\"/></svg>"
        )
    }

    /// The code as a PNG picture, black on white, `scale` pixels (1 to 64) a module.
    pub fn to_png(&self, scale: u32) -> Vec<u8> {
        let scale = usize::try_from(scale.clamp(1, 64)).unwrap_or(1);
        let side = self.size() * scale;
        let line = side.div_ceil(8);
        let mut pixels = vec![0xff; side * line];
        for row in 0..side {
            for column in (0..side).filter(|column| self.is_dark(column / scale, row / scale)) {
                pixels[row * line + column / 8] &= !(0x80 >> (column % 8));
            }
        }
        let mut picture = Vec::new();
        let side = u32::try_from(side).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut picture, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
        debug_assert!(written.is_ok(), "a picture in memory can always be written");
        picture
    }

    /// The code in block characters, two modules in each, for a terminal. `inverted` draws the light modules,
    /// which is right where text is light on dark.
    pub fn to_blocks(&self, inverted: bool) -> String {
        let size = self.size();
        let mut text = String::new();
        for row in (0..size).step_by(2) {
            for column in 0..size {
                let inks = |row| row < size && self.is_dark(column, row) != inverted;
                text.push(match (inks(row), inks(row + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }
}

impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QrCode").field("size", &self.size()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: u32 = 4;

    /// What a reader of QR codes sees in a picture of so many pixels a side.
    fn scanned(side: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
        let mut picture =
            rqrr::PreparedImage::prepare_from_greyscale(
                side,
                side,
                |x, y| {
                    if is_dark(x, y) { 0 } else { 255 }
                },
            );
        let grids = picture.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    fn long() -> String {
        // As long as a payload with a server's address.
        "eyJpbnRlbnQiOiJzaGFyZSIsImhhbmRzaGFrZUlkIjoi".repeat(9)
    }

    #[test]
    fn pictures_can_be_scanned() {
        for text in ["a", "https://app.example/pair#hs=ä", &long()] {
            let code = QrCode::new(text).unwrap();
            let png = code.to_png(SCALE);
            let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            let side = code.size() * usize::try_from(SCALE).unwrap();
            assert_eq!((info.width as usize, info.height as usize), (side, side));
            let line = info.line_size;
            assert_eq!(scanned(side, |x, y| pixels[y * line + x / 8] & (0x80 >> (x % 8)) == 0), text);
            assert!(png.len() < 6000, "{}", png.len());
        }
    }

    #[test]
    fn blocks_can_be_scanned_on_any_background() {
        let text = long();
        for inverted in [false, true] {
            let blocks = QrCode::new(&text).unwrap().to_blocks(inverted);
            let lines: Vec<Vec<char>> = blocks.lines().map(|line| line.chars().collect()).collect();
            let side = lines[0].len();
            let scale = SCALE as usize;
            let has_ink = |x: usize, y: usize| match lines[y / 2][x] {
                '█' => true,
                '▀' => y.is_multiple_of(2),
                '▄' => !y.is_multiple_of(2),
                _ => false,
            };
            assert_eq!(scanned(side * scale, |x, y| has_ink(x / scale, y / scale) != inverted), text);
        }
    }

    #[test]
    fn the_drawing_covers_the_dark_modules_and_nothing_else() {
        let code = QrCode::new(&long()).unwrap();
        let svg = code.to_svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        let path = svg.split("<path d=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut dark = std::collections::BTreeSet::new();
        for bar in path.split('M').skip(1) {
            let (place, rest) = bar.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let run: usize = rest.split('v').next().unwrap().parse().unwrap();
            assert_eq!(rest, format!("{run}v1h-{run}z"));
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            dark.extend((x..x + run).map(|x| (x, y)));
        }
        let scale = SCALE as usize;
        assert_eq!(scanned(code.size() * scale, |x, y| dark.contains(&(x / scale, y / scale))), long());
    }

    #[test]
    fn too_much_is_told_and_nothing_is_shown() {
        assert!(QrCode::new(&"x".repeat(2953)).is_ok());
        let error = QrCode::new(&"x".repeat(2954)).unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT");
        assert!(!format!("{:?}", QrCode::new("secret").unwrap()).contains("true"));
    }
}
