#include "compiler/Precompiled.h"
