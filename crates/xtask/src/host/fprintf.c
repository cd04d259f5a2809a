/* LLVM's unwinder, as Debian compiles it, calls one function that only glibc has. */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *stream, int flag, const char *format, ...) {
    va_list arguments;
    int count;
    (void)flag;
    va_start(arguments, format);
    count = vfprintf(stream, format, arguments);
    va_end(arguments);
    return count;
}
