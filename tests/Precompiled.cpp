// The headers of GoogleTest, for tenon_add_test.
