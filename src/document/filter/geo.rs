use super::{FilterError, malformed};
use crate::document::{Payload, Value};

/// The mean radius of the Earth, in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// The fields of an object that is a point on the Earth.
pub(super) const LATITUDE: &str = "lat";
/// See [`LATITUDE`].
pub(super) const LONGITUDE: &str = "lon";

/// A point on the Earth, in degrees: in a payload an object with the numbers `lat`, -90 to 90, and
/// `lon`, -180 to 180.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoPoint {
    /// North of the equator.
    pub latitude: f64,
    /// East of Greenwich.
    pub longitude: f64,
}

/// All points between two latitudes and two longitudes, the borders included. One whose west lies
/// east of its east crosses the 180th meridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoBox {
    /// The southern border.
    pub south: f64,
    /// The western border.
    pub west: f64,
    /// The northern border.
    pub north: f64,
    /// The eastern border.
    pub east: f64,
}

/// All points up to a distance from another, along the surface of a sphere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoRadius {
    /// From where.
    pub center: GeoPoint,
    /// How far, in metres.
    pub meters: f64,
}

impl GeoPoint {
    /// Returns the point that an object is, if it is one.
    pub fn of(object: &Payload) -> Option<Self> {
        let number = |name: &str| match object.get(name)? {
            #[expect(clippy::cast_precision_loss, reason = "a coordinate is small")]
            Value::Integer(integer) => Some(*integer as f64),
            Value::Float(float) => Some(*float),
            Value::Null | Value::Boolean(_) | Value::Text(_) | Value::Array(_) => None,
            Value::Object(_) => None,
        };
        let point = Self { latitude: number(LATITUDE)?, longitude: number(LONGITUDE)? };
        point.check().is_ok().then_some(point)
    }

    /// Returns the distance in metres, along the surface of a sphere (haversine).
    pub fn distance(self, other: Self) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
        let longitudes = half(self.longitude.to_radians(), other.longitude.to_radians());
        let share = half(a, b) + a.cos() * b.cos() * longitudes;
        2.0 * EARTH_RADIUS_M * share.sqrt().min(1.0).asin()
    }

    fn check(self) -> Result<(), FilterError> {
        check_degrees("a latitude", self.latitude, 90.0)?;
        check_degrees("a longitude", self.longitude, 180.0)
    }
}

impl GeoBox {
    /// Returns whether the point lies within.
    pub fn holds(&self, point: GeoPoint) -> bool {
        let is_between = |from, to| (from..=to).contains(&point.longitude);
        let is_east_of_west = if self.west <= self.east {
            is_between(self.west, self.east)
        } else {
            is_between(self.west, 180.0) || is_between(-180.0, self.east)
        };
        (self.south..=self.north).contains(&point.latitude) && is_east_of_west
    }

    pub(super) fn check(&self) -> Result<(), FilterError> {
        GeoPoint { latitude: self.south, longitude: self.west }.check()?;
        GeoPoint { latitude: self.north, longitude: self.east }.check()?;
        if self.south > self.north {
            return Err(malformed(format!(
                "the south of a box lies south of its north, got {} and {}",
                self.south, self.north
            )));
        }
        Ok(())
    }
}

impl GeoRadius {
    /// Returns whether the point lies within.
    pub fn holds(&self, point: GeoPoint) -> bool {
        self.center.distance(point) <= self.meters
    }

    /// Returns a box in which all points of the circle lie.
    pub fn bounds(&self) -> GeoBox {
        // A little wider than exact, so that rounding leaves nothing out.
        let angle = self.meters / EARTH_RADIUS_M * 1.000_001 + 1e-9;
        let degrees = angle.to_degrees();
        let (south, north) = (self.center.latitude - degrees, self.center.latitude + degrees);
        // Around a pole all longitudes are near.
        let width = (angle.sin() / self.center.latitude.to_radians().cos()).asin().to_degrees();
        let is_polar = south <= -90.0 || north >= 90.0 || !width.is_finite();
        let (west, east) = if is_polar {
            (-180.0, 180.0)
        } else {
            let wrap = |degrees: f64| {
                if degrees < -180.0 {
                    degrees + 360.0
                } else if degrees > 180.0 {
                    degrees - 360.0
                } else {
                    degrees
                }
            };
            (wrap(self.center.longitude - width), wrap(self.center.longitude + width))
        };
        GeoBox { south: south.max(-90.0), west, north: north.min(90.0), east }
    }

    pub(super) fn check(&self) -> Result<(), FilterError> {
        self.center.check()?;
        if !self.meters.is_finite() || self.meters < 0.0 {
            return Err(malformed(format!("a radius is at least 0 metres, got {}", self.meters)));
        }
        Ok(())
    }
}

fn check_degrees(what: &str, degrees: f64, most: f64) -> Result<(), FilterError> {
    if (-most..=most).contains(&degrees) {
        return Ok(());
    }
    Err(malformed(format!("{what} is -{most} to {most} degrees, got {degrees}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> GeoPoint {
        GeoPoint { latitude, longitude }
    }

    #[test]
    fn distances_are_those_of_a_sphere() {
        let (paris, london) = (point(48.8566, 2.3522), point(51.5074, -0.1278));
        assert!((paris.distance(london) - 343_556.0).abs() < 100.0, "{}", paris.distance(london));
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_M;
        assert!((point(0.0, 179.0).distance(point(90.0, 0.0)) - quarter).abs() < 1.0);
        assert!(point(0.0, 179.9).distance(point(0.0, -179.9)) < 23_000.0);
    }

    #[test]
    fn the_bounds_of_a_circle_leave_none_of_its_points_out() {
        let mut random = 7_u64;
        let mut next = |from: f64, to: f64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            from + (to - from) * ((random >> 11) as f64 / (1_u64 << 53) as f64)
        };
        let mut within = 0;
        for _ in 0..20_000 {
            let center = point(next(-90.0, 90.0), next(-180.0, 180.0));
            let circle = GeoRadius { center, meters: next(0.0, 1.0).powi(3) * 2e7 };
            let other = point(next(-90.0, 90.0), next(-180.0, 180.0));
            if circle.holds(other) {
                within += 1;
                assert!(circle.bounds().holds(other), "{circle:?} {other:?}");
            }
        }
        assert!(within > 1_000, "{within}");
    }

    #[test]
    fn a_box_may_cross_the_180th_meridian() {
        let fiji = GeoBox { south: -20.0, west: 177.0, north: -15.0, east: -178.0 };
        assert!(fiji.holds(point(-17.0, 179.0)) && fiji.holds(point(-17.0, -179.0)));
        assert!(!fiji.holds(point(-17.0, 0.0)) && !fiji.holds(point(0.0, 179.0)));
        assert!(GeoBox { south: 1.0, north: 0.0, ..fiji }.check().is_err());
        let error = GeoBox { east: 181.0, ..fiji }.check().unwrap_err().to_string();
        assert_eq!(error, "filter: a longitude is -180 to 180 degrees, got 181");
    }
}
