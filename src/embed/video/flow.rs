use super::TimedLatent;

/// Which way what is seen moves in a part of the picture, in cells a frame: to the right and down.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Flow {
    /// To the right.
    pub right: f32,
    /// Down.
    pub down: f32,
}

/// What keeps a part without structure from seeming to move, as a share of the structure of the whole.
const RIDGE: f64 = 0.05;

/// Returns the flow of consecutive latents in each part of a `grid` x `grid` division of the picture,
/// row by row: the one motion that explains best how every channel changes there, over all frames
/// (Lucas and Kanade 1981). Nothing moves in fewer than two frames.
pub fn flow(latents: &[TimedLatent], grid: usize) -> Vec<Flow> {
    let grid = grid.max(1);
    let mut sums = vec![Sums::default(); grid * grid];
    for pair in latents.windows(2) {
        let (before, after) = (&pair[0].latent, &pair[1].latent);
        let [channels, rows, columns] = before.shape();
        for channel in 0..channels {
            for row in 0..rows {
                for column in 0..columns {
                    let middle = |row, column| {
                        before.at(channel, row, column) + after.at(channel, row, column)
                    };
                    // Central differences, of the mean of both frames; half as steep at the edge.
                    let slope_x =
                        (middle(row, column + 1) - middle(row, column.saturating_sub(1))) / 4.0;
                    let slope_y =
                        (middle(row + 1, column) - middle(row.saturating_sub(1), column)) / 4.0;
                    let change = after.at(channel, row, column) - before.at(channel, row, column);
                    let part = (row * grid / rows) * grid + column * grid / columns;
                    sums[part].add(f64::from(slope_x), f64::from(slope_y), f64::from(change));
                }
            }
        }
    }
    let structure: f64 = sums.iter().map(|sums| sums.xx + sums.yy).sum::<f64>() / 2.0;
    let ridge = RIDGE * structure / sums.len() as f64;
    sums.iter().map(|sums| sums.solve(ridge)).collect()
}

/// The normal equations of one part.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    xx: f64,
    xy: f64,
    yy: f64,
    xt: f64,
    yt: f64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64, t: f64) {
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
        self.xt += x * t;
        self.yt += y * t;
    }

    fn solve(&self, ridge: f64) -> Flow {
        let (xx, yy) = (self.xx + ridge, self.yy + ridge);
        let determinant = xx * yy - self.xy * self.xy;
        if determinant <= f64::MIN_POSITIVE {
            return Flow::default();
        }
        let right = (self.xy * self.yt - yy * self.xt) / determinant;
        let down = (self.xy * self.xt - xx * self.yt) / determinant;
        // A cell a frame is as far as neighbouring cells can tell.
        Flow { right: right.clamp(-1.0, 1.0) as f32, down: down.clamp(-1.0, 1.0) as f32 }
    }
}
