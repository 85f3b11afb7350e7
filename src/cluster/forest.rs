/// Sets of points that are joined and never parted (union-find by size, with path halving).
#[derive(Debug, Clone)]
pub(super) struct Forest {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Forest {
    /// Returns `count` sets of one point each.
    pub(super) fn new(count: usize) -> Self {
        let parents = (0u32..).take(count).collect();
        Self { parents, sizes: vec![1; count] }
    }

    /// Returns the point that stands for the set.
    pub(super) fn root(&mut self, mut point: u32) -> u32 {
        while self.parents[point as usize] != point {
            let above = self.parents[self.parents[point as usize] as usize];
            self.parents[point as usize] = above;
            point = above;
        }
        point
    }

    /// Joins two sets, and returns whether they were two.
    pub(super) fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return false;
        }
        let (large, small) =
            if self.sizes[a as usize] >= self.sizes[b as usize] { (a, b) } else { (b, a) };
        self.parents[small as usize] = large;
        self.sizes[large as usize] += self.sizes[small as usize];
        true
    }
}
