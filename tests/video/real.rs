//! Real videos, in the folder that `SIMILE_SHARED_DATA` names; without it these checks say so and pass.
