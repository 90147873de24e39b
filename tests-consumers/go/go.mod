module supervise

go 1.19
