// cmd.exe with the streams that a process on a pseudo-console has from the start on Windows, and not in Wine 8.
#include <windows.h>

static HANDLE opened(const WCHAR *name) {
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    return CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited,
                       OPEN_EXISTING, 0, NULL);
}

int main(void) {
    static WCHAR line[32768] = L"cmd.exe ";
    STARTUPINFOW start = {sizeof start};
    PROCESS_INFORMATION told;
    DWORD code = 1;
    const WCHAR *rest = GetCommandLineW();
    WCHAR end = *rest == '"' ? '"' : ' ';
    for (rest++; *rest && *rest != end; rest++) {}
    if (*rest) rest++;
    lstrcatW(line, rest);
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    if (!start.hStdInput) start.hStdInput = opened(L"CONIN$");
    if (!start.hStdOutput) start.hStdOutput = opened(L"CONOUT$");
    if (!start.hStdError) start.hStdError = opened(L"CONOUT$");
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &told)) return 1;
    WaitForSingleObject(told.hProcess, INFINITE);
    GetExitCodeProcess(told.hProcess, &code);
    return (int)code;
}
