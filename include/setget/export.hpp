// Marks what a setget library exports; everything else is built with hidden visibility.
#pragma once

#define SETGET_API __attribute__((visibility("default")))
