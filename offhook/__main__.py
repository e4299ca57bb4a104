from offhook import main

main()
