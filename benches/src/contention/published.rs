//! Results of the published simulator, `aws-samples/aws-arch-backoff-simulator`, with 400 trials
//! for each point.

use super::rules;

/// A published mean with the standard deviation of its trials.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) mean: f64,
    deviation: f64,
}

impl Expected {
    /// Returns the standard error of the mean of 400 trials, including that of its rounding to a
    /// whole number (1 / √12).
    pub(super) fn standard_error(self) -> f64 {
        (self.deviation / 400_f64.sqrt()).hypot(1.0 / 12_f64.sqrt())
    }
}

/// Algorithms in the order of the columns of [`TABLE`].
const ALGORITHMS: [&str; 5] =
    [rules::NONE, rules::EXPONENTIAL, rules::EQUAL, rules::FULL, rules::TEXTBOOK];

/// Returns the calls and the makespan in milliseconds of one algorithm at one number of clients, or
/// `None` if these were not published.
pub(super) fn expected(algorithm: &str, clients: u32) -> Option<(Expected, Expected)> {
    let column = ALGORITHMS.iter().position(|&name| name == algorithm)?;
    let (_, columns) = TABLE.iter().find(|(row, _)| *row == clients)?;
    let [calls, calls_deviation, ms, ms_deviation] = columns[column].map(f64::from);
    Some((
        Expected { mean: calls, deviation: calls_deviation },
        Expected { mean: ms, deviation: ms_deviation },
    ))
}

/// Rows of the number of clients and, for each algorithm, the calls, their standard deviation, the
/// makespan in milliseconds, and its standard deviation.
#[rustfmt::skip]
const TABLE: [(u32, [[u32; 4]; 5]); 20] = [
    (10, [[50, 4, 376, 34], [51, 4, 3537, 1331], [42, 3, 734, 183], [39, 2, 464, 106], [38, 2, 435, 79]]),
    (20, [[152, 13, 601, 56], [150, 14, 14270, 3026], [108, 4, 1642, 476], [100, 3, 994, 294], [101, 5, 805, 175]]),
    (30, [[288, 15, 778, 49], [276, 16, 22390, 2871], [183, 5, 2608, 571], [172, 4, 1688, 473], [180, 7, 1260, 294]]),
    (40, [[469, 17, 962, 46], [437, 22, 29633, 3194], [263, 5, 3550, 718], [250, 4, 2323, 495], [272, 10, 1672, 354]]),
    (50, [[690, 18, 1140, 42], [624, 30, 36320, 3440], [348, 6, 4205, 538], [333, 5, 2871, 525], [374, 14, 2221, 502]]),
    (60, [[955, 21, 1324, 45], [836, 34, 43017, 3012], [435, 6, 4782, 690], [420, 5, 3371, 522], [486, 15, 2759, 599]]),
    (70, [[1262, 23, 1500, 43], [1055, 44, 48347, 3530], [526, 7, 5388, 609], [509, 6, 3812, 504], [606, 19, 3223, 615]]),
    (80, [[1611, 26, 1679, 43], [1303, 49, 53523, 3611], [619, 7, 5823, 588], [603, 6, 4213, 535], [733, 23, 3710, 608]]),
    (90, [[1997, 30, 1861, 45], [1572, 53, 58806, 3568], [715, 7, 6223, 635], [697, 7, 4539, 544], [864, 25, 4134, 676]]),
    (100, [[2422, 32, 2025, 43], [1857, 62, 63478, 3886], [812, 7, 6628, 649], [796, 7, 4896, 552], [1003, 29, 4604, 709]]),
    (110, [[2888, 35, 2196, 43], [2163, 62, 68145, 3430], [911, 9, 6960, 611], [895, 8, 5228, 492], [1145, 33, 4971, 709]]),
    (120, [[3397, 40, 2371, 42], [2489, 72, 72557, 3750], [1012, 9, 7348, 568], [999, 8, 5544, 543], [1293, 35, 5392, 738]]),
    (130, [[3937, 43, 2544, 47], [2825, 87, 77158, 4181], [1115, 9, 7613, 592], [1103, 9, 5775, 535], [1443, 37, 5794, 772]]),
    (140, [[4519, 49, 2712, 46], [3175, 89, 81554, 3993], [1219, 9, 7957, 633], [1210, 9, 6140, 515], [1598, 43, 6213, 770]]),
    (150, [[5140, 51, 2874, 46], [3547, 99, 85562, 4167], [1324, 10, 8297, 606], [1318, 10, 6383, 538], [1761, 47, 6561, 771]]),
    (160, [[5801, 52, 3044, 46], [3939, 106, 90111, 4202], [1431, 11, 8570, 646], [1428, 10, 6685, 508], [1925, 46, 6897, 795]]),
    (170, [[6498, 57, 3209, 46], [4326, 114, 93880, 4528], [1540, 12, 8904, 599], [1540, 11, 6922, 558], [2088, 56, 7183, 834]]),
    (180, [[7233, 63, 3374, 46], [4737, 117, 97507, 4286], [1649, 11, 9117, 579], [1656, 11, 7186, 512], [2263, 58, 7678, 897]]),
    (190, [[8004, 68, 3539, 48], [5167, 123, 101204, 4287], [1760, 12, 9344, 578], [1771, 13, 7448, 564], [2434, 57, 7939, 855]]),
    (200, [[8819, 66, 3701, 45], [5614, 128, 105432, 4321], [1872, 13, 9680, 656], [1892, 13, 7682, 538], [2612, 62, 8272, 808]]),
];
