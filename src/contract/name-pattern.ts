/**
 * One line of a name for people: nothing that steers a terminal, breaks a line, or turns the direction of what stands around.
 * Bound for what people give now; names of before it may hold more.
 */
export const namePattern = '^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069]*$';
