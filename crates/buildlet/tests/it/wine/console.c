// What a test runs on a console, or without one: `size` shows the console's size and, where it changes, the next; `lines` reads to the
// end; `nap` stays.
#include <stdio.h>
#include <string.h>
#include <windows.h>

static COORD size(void) {
    CONSOLE_SCREEN_BUFFER_INFO told;
    COORD size = {0, 0};
    if (GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &told)) {
        size.X = told.srWindow.Right - told.srWindow.Left + 1;
        size.Y = told.srWindow.Bottom - told.srWindow.Top + 1;
    }
    return size;
}

int main(int count, char **words) {
    char line[256];
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "size")) {
        COORD now = size();
        printf("size %d %d\n", now.X, now.Y);
        return 3;
    }
    printf("up\n");
    fflush(stdout);
    if (!strcmp(what, "lines")) {
        while (fgets(line, sizeof line, stdin)) printf("line %s", line);
        printf("over\n");
        return 6;
    }
    Sleep(60000);
    return 0;
}
