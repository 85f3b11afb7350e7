//! Which files of models does the program carry itself?

/// The graphs of the image networks that were trained for the program, by name.
const FILES: [(&str, &[u8]); 2] = [
    ("simile-autoencoder-64.onnx", include_bytes!("models/simile-autoencoder-64.onnx").as_slice()),
    ("simile-residual-64.onnx", include_bytes!("models/simile-residual-64.onnx").as_slice()),
];

/// Returns a file that the program carries; it need not lie in the folder of its model.
pub(super) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
}

/// Returns whether the program carries a file of a model of this name.
pub fn is_carried(name: &str) -> bool {
    file(name).is_some()
}
