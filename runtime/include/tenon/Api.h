/// Marks what Tenon's shared libraries export; everything else in them is hidden.
#pragma once

#define TENON_API __attribute__((visibility("default")))
